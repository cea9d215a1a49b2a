// Written by `python app.py types` from the dataclasses that panels send. Not to be edited.

/**
 * A token of the answer: `t` text, `p` log-probability, `e` entropy in nats, `m` image attention, `d` visual dependence
 * in nats, None where it cannot be measured. `alts` are text and log-probability.
 */
export interface TokenFacts {
  t: string;
  p: number;
  e: number;
  m: number;
  d: number | null;
  alts: [string, number][];
}

/**
 * One way of drawing: what it measures, where it is from, what it takes, how it was found to do.
 *
 * `why` says why it cannot be used here; `gated` ones read a lens that must be known to be good.
 */
export interface MethodView {
  slug: string;
  title: string;
  measures: string;
  paper: string;
  cost: string;
  layered: boolean;
  gated: boolean;
  can: boolean;
  why: string;
  score: string;
  best: boolean;
}

/** A thing of a drawn scene. `box` is x0 y0 x1 y1 in pixels; `asked` that the question or the answer names it. */
export interface ThingView {
  name: string;
  picture: number;
  box: [number, number, number, number];
  asked: boolean;
}

/** Everything but the maps themselves. `dependence` says why visual dependence cannot be measured, if so. */
export interface LookView {
  run: string;
  typed: string;
  checkpoint: string;
  question: string;
  tokens: TokenFacts[];
  dependence: string;
  layers: number;
  heads: number;
  pictures: PictureView[];
  geometry: string;
  things: ThingView[];
  methods: MethodView[];
  costs: Record<string, string>;
  scored: string;
  lens: LensView;
  method: string;
}

/** A picture to draw maps on. `size` is (width, height) in pixels; `time_s` of a frame is in seconds. */
export interface PictureView {
  url: string;
  name: string;
  label: string;
  time_s: number | null;
  size: [number, number];
  views: ViewOutline[];
}

/** One view of a picture: its box x0 y0 x1 y1 in pixels, and how many rows and columns of cells it has. */
export interface ViewOutline {
  box: [number, number, number, number];
  rows: number;
  cols: number;
  name: string;
}

/** Whether a lens can be believed, None where its weights were not measured; why, in a sentence; scenes measuring takes. */
export interface LensView {
  usable: boolean | null;
  text: string;
  scenes: number;
}

/** The reply to `open`. */
export interface OpenReply {
  view: LookView;
}

/**
 * Raw attention of `count` words from `first`: `scores` float32 [words, cells], packed; `mass` is each one's share on the
 * pictures.
 */
export interface RawMaps {
  first: number;
  count: number;
  cells: number;
  scores: string;
  mass: number[];
  note: string;
}

/** Image attention in every layer and head, and how much of it falls on things: float32 [L, H] each, packed. */
export interface OverviewReply {
  mass: string;
  inside: string | null;
}

/** The reply to `heat`. */
export interface MapReply {
  map: HeatView;
}

/** One map: `scores` are those of all cells, packed; `mass` is the share of attention on the pictures where it is one. */
export interface HeatView {
  scores: string;
  unit: string;
  signed: boolean;
  note: string;
  mass: number | null;
}

/** How far methods agree, [methods][methods]. */
export interface MethodAgreement {
  matrix: number[][];
}

/** Attention sinks: visual tokens and their cells, how many the tower and the decoder have, their share of attention. */
export interface SinksReply {
  tokens: number[];
  cells: number[];
  tower: number;
  decoder: number;
  share: number;
}

/** A map's name for files, its numbers as an NPZ in base64, and a page of Markdown. */
export interface MapFiles {
  name: string;
  npz: string;
  page: string;
}

/** A token with its alternatives, in short names: `t` text, `p` log-probability; `alts` are id, text, log-probability. */
export interface TokenView {
  id: number;
  t: string;
  p: number;
  given: boolean;
  alts: [number, string, number][];
}

/** Maps of two answers on the same cells, packed, in one unit. */
export interface PairReply {
  pictures: PictureView[];
  scores: string[];
  unit: string;
  signed: boolean;
  note: string;
}

/** A number that a decoder is set with; see `model.decoders.base.Number`. */
export interface NumberView {
  name: string;
  label: string;
  low: number;
  high: number;
  step: number;
  default: number;
  why: string;
}

/** A decoder that a column can be asked with. */
export interface DecoderView {
  slug: string;
  title: string;
  numbers: NumberView[];
}

/** How many layers a stage has and which to begin with, or why it cannot be looked into. */
export interface StageView {
  layers: number;
  first: number;
  why: string;
}

/** Visual tokens that draw attention for what they are, in the tower and in the decoder. */
export interface SinksView {
  tower: number[];
  decoder: number[];
}

export interface About {
  checkpoint: string;
  question: string;
}

/**
 * The answer's words, what can be asked of this checkpoint, the sinks, and the patch to begin with.
 *
 * `cell` is the cell that each visual token stands for, -1 for none; `mixing` float32 [T, cells], packed. `decoder` is its
 * layers and heads. What comes with the pictures is filled in beside the model: `pictures`, `about`, `lens`.
 */
export interface Opened {
  cell: number[];
  mixing: string | null;
  geometry: string;
  titles: Record<string, [string, string]>;
  words: TokenView[];
  stages: Record<string, StageView>;
  heads: number;
  decoder: [number, number];
  sinks: SinksView;
  dimensions: number[];
  whole: number;
  first: number;
  pictures: PictureView[];
  about: About | null;
  lens: LensView | null;
}

/** A packed matrix over patches, or where that is too large one row: of the patches asked for. `width` of the features. */
export interface Pairs {
  matrix: string | null;
  row: string | null;
  width: number | null;
}

/** The lens at some patches: for each depth the likeliest words with their probability. */
export interface LensWords {
  rows: [number, [string, number][]][];
}

/** The answer's log-probabilities before and after hiding patches, packed, and what would be said instead: id, text, p. */
export interface Hidden {
  before: string;
  after: string;
  instead: [number, string, number][];
}

/** The answer the model gives with patches hidden. `ended`: it came to its end within the length. */
export interface Again {
  text: string;
  ended: boolean;
}

/** Colours of the other picture's patches, with its cells and its pictures, which are filled in beside the model. */
export interface OtherColours {
  colours: string;
  cell: number[];
  mixing: string | null;
  pictures: PictureView[];
}

/** Principal components of patches as colours, float32 [T, 3] from 0 to 1, packed; `other` is of the same fit. */
export interface Coloured {
  colours: string;
  other: OtherColours | null;
}

/** Cosine of each patch with a word's embedding, packed, and the pieces the word was read as. */
export interface Likenesses {
  row: string;
  pieces: string[];
}
