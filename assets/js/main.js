// The page's own elements. Gradio puts them into the page; each is connected to what Gradio has for it by one line, the same for all
// (panels/base/components.py).

import { Attention } from './attention/attention.js';
import { Composer } from './chat/composer.js';
import { Live } from './chat/live.js';
import { Questions } from './chat/questions.js';
import { Saw } from './chat/saw.js';
import { Scenes } from './chat/scenes.js';
import { Transcript } from './chat/transcript.js';
import { Compare } from './compare/compare.js';
import { Setup } from './compare/setup.js';
import { Header } from './header/header.js';
import { Message } from './header/message.js';
import { Specimen } from './header/specimen.js';
import { Patches } from './patches/patches.js';
import { Detail } from './sessions/detail.js';
import { Runs } from './sessions/runs.js';

const ELEMENTS = {
  'fv-attention': Attention,
  'fv-compare': Compare,
  'fv-compare-setup': Setup,
  'fv-composer': Composer,
  'fv-detail': Detail,
  'fv-header': Header,
  'fv-live': Live,
  'fv-message': Message,
  'fv-patches': Patches,
  'fv-questions': Questions,
  'fv-runs': Runs,
  'fv-saw': Saw,
  'fv-scenes': Scenes,
  'fv-specimen': Specimen,
  'fv-transcript': Transcript,
};

for (const [name, element] of Object.entries(ELEMENTS)) if (!customElements.get(name)) customElements.define(name, element);
