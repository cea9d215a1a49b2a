"""The named endpoints, called as another program calls them: over the network, on the program as it is served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from program import Program, soon_true

from model.decoders.plain import Plain
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

HEART = "What color is the heart?"


@pytest.fixture(scope="module")
def client(served: Program) -> Iterator[Client]:
    made = Client(served.url, verbose=False, analytics_enabled=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A drawn scene with a pink heart in it, as a file to send."""
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    path.write_bytes(to_png(make_scene(held_out_seed(47))))
    return handle_file(str(path))


def ask(client: Client, **given: Any) -> dict[str, Any]:
    return client.predict(**given, api_name="/chat_ask")


def refused(client: Client, name: str, **given: Any) -> str:
    """The sentence of a call that cannot be answered."""
    with pytest.raises(AppError) as error:
        client.predict(**given, api_name=name)
    sentence = str(error.value)
    assert "Traceback" not in sentence
    assert sentence.rstrip().endswith("."), sentence
    return sentence


class TestChatAsk:
    def test_a_question_and_a_picture_are_enough(self, client: Client, scene: dict[str, Any], served: Program) -> None:
        turn = ask(client, question=HEART, images=[scene])
        assert turn["text"] == "pink"
        assert turn["checkpoint"] == "tiny-llava"
        assert turn["done"] is True
        assert turn["reason"] == "end"
        assert turn["visual_tokens"] > 0
        assert turn["prompt_tokens"] > turn["visual_tokens"]
        assert "".join(text for _, _, text in turn["tokens"]).strip() == "pink"
        assert all(logprob <= 0 for _, logprob, _ in turn["tokens"])
        record = served.history.run(turn["run_id"])
        assert (record.row.session, record.row.answer, record.row.panel) == (turn["session"], "pink", "chat")
        assert served.history.session(turn["session"]).client == "api"

    def test_one_picture_can_be_given_by_itself_or_beside_others(self, client: Client, scene: dict[str, Any]) -> None:
        alone = ask(client, question=HEART, picture=scene)
        assert alone["text"] == "pink"
        assert ask(client, question=HEART, images=[scene], picture=scene)["visual_tokens"] == 2 * alone["visual_tokens"]

    def test_it_is_streamed(self, client: Client, served: Program, endless: Path) -> None:
        """512 tokens of a checkpoint that does not stop: what is written grows, and nothing is lost on the way."""
        job = client.submit(question="Go on.", checkpoint=str(endless), max_new_tokens=512, api_name="/chat_ask")
        turns = list(job)
        assert len(turns) >= 5
        assert [turn["done"] for turn in turns] == [False] * (len(turns) - 1) + [True]
        assert len({turn["run_id"] for turn in turns}) == 1
        texts = [turn["text"] for turn in turns]
        assert all(after.startswith(before) for before, after in pairwise(texts[:-1]))
        assert len({len(text) for text in texts}) >= 5
        assert (turns[-1]["new_tokens"], turns[-1]["reason"]) == (512, "length")
        assert served.history.run(turns[-1]["run_id"]).row.new_tokens == 512

    def test_a_session_goes_on(self, client: Client, scene: dict[str, Any], served: Program) -> None:
        """Without giving the picture again, and without reading it again."""
        first = ask(client, question="How many objects are there?", images=[scene])
        second = ask(client, question=HEART, session=first["session"])
        assert second["text"] == "pink"
        assert second["session"] == first["session"]
        assert second["reused_tokens"] > second["visual_tokens"] > 0
        assert [row.id for row in served.history.thread(second["run_id"])] == [first["run_id"], second["run_id"]]
        other = ask(client, question=HEART)
        assert other["session"] != first["session"]
        assert other["visual_tokens"] == 0

    def test_settings_hold(self, client: Client, served: Program) -> None:
        given = {"temperature": 1.2, "top_p": 0.5, "max_new_tokens": 3, "seed": 9, "system": "Be brief."}
        turns = [ask(client, question="Describe the image.", **given) for _ in range(2)]
        assert turns[0]["tokens"] == turns[1]["tokens"]
        assert len(turns[0]["tokens"]) <= 3
        record = served.history.run(turns[0]["run_id"])
        assert record.options.decoder == Plain(1.2, 0.5)
        assert (record.options.max_new_tokens, record.options.seed) == (3, 9)
        assert record.prompt.messages[0].text == "Be brief."

    def test_any_text_comes_back_as_it_is(self, client: Client, served: Program) -> None:
        text = "{{value}} ${1+1} <img src=x onerror=alert(1)> \u202e é 日本 `rm -rf`"
        assert served.history.run(ask(client, question=text)["run_id"]).row.question == text

    def test_two_at_once_do_not_mix(self, client: Client, scene: dict[str, Any]) -> None:
        questions = [HEART, "How many objects are there?"] * 2
        jobs = [client.submit(question=question, images=[scene], api_name="/chat_ask") for question in questions]
        answers = [job.result(timeout=120)["text"] for job in jobs]
        assert answers[0] == answers[2] == "pink"
        assert answers[1] == answers[3] != "pink"

    def test_a_cancelled_call_stops_the_model(self, client: Client, served: Program, endless: Path) -> None:
        job = client.submit(question="Nobody waits for this.", checkpoint=str(endless), max_new_tokens=1024, api_name="/chat_ask")
        turn = next(iter(job))
        soon_true(lambda: len(job.outputs()) > 3)
        job.cancel()
        soon_true(lambda: served.history.run(turn["run_id"]).row.status == "stopped")
        assert 0 < served.history.run(turn["run_id"]).row.new_tokens < 1024

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"question": ""}, "empty"),
            ({"question": None}, "empty"),
            ({"question": "Hello", "checkpoint": "tiny-lava"}, "There is no checkpoint 'tiny-lava'"),
            ({"question": "Hello", "session": "nope"}, "There is no session 'nope'"),
            ({"question": "Hello", "temperature": -1}, "emperature"),
            ({"question": "Hello", "temperature": "warm"}, "'warm'"),
            ({"question": "Hello", "top_p": 0}, "op_p|op-p"),
            ({"question": "Hello", "max_new_tokens": 0}, "Length is 0"),
            ({"question": "Hello", "max_new_tokens": 2.5}, "2.5. Choose a whole number"),
            ({"question": "Hello", "seed": -1}, "[Ss]eed"),
            ({"question": "word " * 20_001}, "100,005 characters"),
            ({"question": "word " * 19_000}, "tokens"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_answered_is_said(self, client: Client, given: dict[str, Any], words: str) -> None:
        assert re.search(words, refused(client, "/chat_ask", **given))

    def test_files_that_are_no_pictures_are_said_to_be(self, client: Client, tmp_path: Path, scene: dict[str, Any]) -> None:
        (tmp_path / "zero.png").write_bytes(b"")
        (tmp_path / "page.png").write_bytes(b"<html><script>1</script></html>")
        Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
        for name, words in (("zero.png", "empty"), ("page.png", "web page"), ("bomb.png", "9000 x 9000")):
            assert words in refused(client, "/chat_ask", question="What is it?", images=[handle_file(str(tmp_path / name))])
        assert "at most 8" in refused(client, "/chat_ask", question="What is it?", images=[scene] * 9)


class TestSessionsSearch:
    def test_it_finds_by_words_and_narrows(self, client: Client) -> None:
        turn = ask(client, question="Is there a quagga in the picture?")
        found = client.predict(query="quagga", api_name="/sessions_search")
        assert [row["id"] for row in found] == [turn["run_id"]]
        row = found[0]
        assert (row["session"], row["answer"], row["status"]) == (turn["session"], turn["text"], "done")
        assert (row["panel"], row["checkpoint"], row["rating"]) == ("chat", "tiny-llava", 0)
        day = row["started_at"][:10]
        for filters, many in (({"checkpoint": "tiny-llava"}, 1), ({"checkpoint": "endless-llava"}, 0), ({"panel": "replay"}, 0),
                              ({"since": day}, 1), ({"until": "2020-01-01"}, 0)):  # fmt: skip
            assert len(client.predict(query="quagga", **filters, api_name="/sessions_search")) == many, filters

    def test_without_words_the_newest_come_first(self, client: Client) -> None:
        turns = [ask(client, question=f"Number {i}?") for i in range(2)]
        found = client.predict(limit=2, api_name="/sessions_search")
        assert [row["id"] for row in found] == [turn["run_id"] for turn in reversed(turns)]

    @pytest.mark.parametrize(
        ("given", "words"),
        [({"since": "yesterday"}, "yesterday"), ({"limit": "many"}, "Give a whole number"), ({"query": ["a"]}, "Give a text")],
    )
    def test_what_cannot_be_looked_for_is_said(self, client: Client, given: dict[str, Any], words: str) -> None:
        assert words in refused(client, "/sessions_search", **given)

    def test_operators_are_words(self, client: Client) -> None:
        assert client.predict(query='quagga" OR (NOT ${x} {{y}}', api_name="/sessions_search") == []


def test_checkpoints_list(client: Client) -> None:
    found = {row["spec"]: row for row in client.predict(api_name="/checkpoints_list")}
    tiny = found["tiny-llava"]
    assert tiny["loaded"] is tiny["built_in"] is True
    assert tiny["parameters"] > 10**6
    assert tiny["size_bytes"] >= 4 * tiny["parameters"]
    assert {"generate", "multi_image", "grid"} <= set(tiny["capabilities"])
    assert tiny["context_tokens"] > 500
    assert [row["name"] for row in found.values() if not row["built_in"]] == ["endless-llava"]


class TestPatchesSimilar:
    def test_a_turn_and_a_patch_are_enough(self, client: Client, scene: dict[str, Any]) -> None:
        turn = ask(client, question=HEART, images=[scene])
        found = client.predict(run_id=turn["run_id"], patch=[5, 3], api_name="/patches_similar")
        assert (found["stage"], found["layer"]) == ("decoder", 5)
        assert found["views"][0]["similarity"][5][3] == 1
        assert max(b["similarity"] for b in found["best"]) == found["best"][0]["similarity"]

    def test_a_picture_and_a_box_do_as_well(self, client: Client, scene: dict[str, Any]) -> None:
        found = client.predict(images=[scene], box=[100, 180, 220, 300], stage="tower", layer=1, api_name="/patches_similar")
        assert found["run_id"] == ""
        assert len(found["chosen"]) > 4

    def test_what_cannot_be_asked_is_said(self, client: Client) -> None:
        assert "Give the run_id" in refused(client, "/patches_similar")
        assert "no run" in refused(client, "/patches_similar", run_id="nope", patch=[0, 0])


class TestAttention:
    def test_a_turn_is_traced_and_drawn(self, client: Client, scene: dict[str, Any]) -> None:
        turn = ask(client, question=HEART, images=[scene])
        trace = client.predict(run_id=turn["run_id"], api_name="/attention_trace")
        assert [t["text"] for t in trace["tokens"]] == [text for _, _, text in turn["tokens"]]
        assert trace["tokens"][0]["visual_dependence"] > 1
        drawn = client.predict(run_id=turn["run_id"], words="pink", api_name="/attention_map")
        values = drawn["views"][0]["values"]
        assert (len(values), len(values[0])) == (12, 12)
        best = max((v, r, c) for r, row in enumerate(values) for c, v in enumerate(row))
        assert 4 <= best[1] <= 8, best  # the heart is left of the middle
        assert 1 <= best[2] <= 6, best

    def test_an_answer_nobody_gave_is_traced_with_few_parameters(self, client: Client, scene: dict[str, Any]) -> None:
        found = client.predict(question=HEART, images=[scene], answer="blue", api_name="/attention_trace")
        assert found["tokens"][0]["probability"] < 0.01

    def test_what_is_wrong_is_said(self, client: Client) -> None:
        assert "Give the run_id" in refused(client, "/attention_trace")
        assert "no run" in refused(client, "/attention_map", run_id="nope")


class TestCompare:
    def test_a_blind_comparison_is_asked_voted_on_and_counted(self, client: Client, scene: dict[str, Any]) -> None:
        columns = ["tiny-llava", {"spec": "tiny-llava", "temperature": 1.2, "seed": 2}]
        both = client.predict(question=HEART, columns=columns, images=[scene], blind=True, api_name="/compare_ask")
        assert both["done"] is True
        assert [set(column) for column in both["columns"]] == [{"letter", "text", "done"}] * 2
        hidden = [row["checkpoint"] for row in client.predict(query="heart", panel="compare", api_name="/sessions_search")]
        assert hidden[:2] == ["hidden until the vote"] * 2
        told = client.predict(group=both["group"], outcome="A", reasons=["correct"], api_name="/compare_vote")
        assert {c["label"] for c in told["columns"]} == {"tiny-llava", "tiny-llava, temperature 1.2, seed 2"}
        winner = told["columns"][0]["label"]
        found = client.predict(api_name="/compare_results")
        assert next(c["wins"] for c in found["columns"] if c["label"] == winner) >= 1
        assert "stays as it is" in refused(client, "/compare_vote", group=both["group"], outcome="B")

    def test_what_cannot_be_compared_is_said(self, client: Client) -> None:
        assert "2 to 4 columns" in refused(client, "/compare_ask", question="Hi", columns=["tiny-llava"])
        assert "no such comparison" in refused(client, "/compare_vote", group="nope", outcome="A")


def test_these_endpoints_and_no_others_and_what_must_be_given(client: Client) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    rest = (
        "/sessions_search", "/checkpoints_list", "/patches_similar", "/attention_trace", "/attention_map", "/compare_results",
    )  # fmt: skip
    assert set(named) == {"/chat_ask", "/compare_ask", "/compare_vote", *rest}
    must = {
        name: [given["parameter_name"] for given in endpoint["parameters"] if not given["parameter_has_default"]]
        for name, endpoint in named.items()
    }
    asked = {"/chat_ask": ["question"], "/compare_ask": ["question"], "/compare_vote": ["group", "outcome"]}
    assert must == {**asked, **{name: [] for name in rest}}
    names = [p["parameter_name"] for p in named["/chat_ask"]["parameters"]]
    assert names[:5] == ["question", "images", "checkpoint", "session", "system"]
    assert all(re.fullmatch(r"[a-z][a-z_]*", name) for name in names)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON schema, itself included."""
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(part)


def test_parameters_are_described_by_json_schemas_so_that_mcp_clients_can_call(client: Client) -> None:
    """They check what they send first: {} is no type, and no definitions stand where Gradio's own schemas point."""
    known = {"array", "boolean", "integer", "null", "number", "object", "string"}
    count = 0
    for name, endpoint in client.view_api(return_format="dict")["named_endpoints"].items():
        for given in endpoint["parameters"]:
            if given["parameter_name"] == "picture":  # Gradio knows a single file, and makes an address of it
                assert given["type"]["title"] == "FileData"
                continue
            for node in nodes(given["type"]):
                count += 1
                assert "$ref" not in node, (name, given)
                assert "properties" in node or "anyOf" in node or node.get("type") in known or node.keys() == {"path"}, (
                    name,
                    given,
                )
    assert count > 60
