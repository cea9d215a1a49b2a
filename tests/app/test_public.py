"""A public page attacked over HTTP: by its named endpoints, by the page's own events and functions, by files and bodies."""

from __future__ import annotations

import asyncio
import gc
import http.server
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio.context import LocalContext
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from program import ROOT, Program, free_port, soon_true

from app.log.history import History
from app.log.store import Store
from app.public.guest_log import GuestLog
from app.public.guests import Guests
from app.public.rate_limit import Limits, RateLimiter, TimedSlot, address_of
from app.public.request_filter import MOST_BODY_BYTES
from app.serve import launch
from app.settings import Settings
from app.shell import build_demo
from app.starting import Starting
from model import Column, ColumnEvent, Core, Finished, Options, WorkbenchError, ask, from_image, open_core, parse_spec
from model.errors import InputError
from model.generation.hooks import Interrupted
from model.internals.subject import Subject
from model.progress import Run
from model.running.tasks import Here
from panels.base import settings as _settings
from panels.base.bench import Bench, SessionState
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

SECRET = "hf_quaggaSECRETquagga"
MARK = "quagga4711"
"""A word of the victim's question, which nobody else may ever be sent."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    path.write_bytes(to_png(make_scene(held_out_seed(47))))
    return handle_file(str(path))


@pytest.fixture(scope="module")
def victim(public: Program, scene: dict[str, Any]) -> dict[str, Any]:
    """A turn of another program, whose session nobody else knows."""
    client = Client(public.url, verbose=False, analytics_enabled=False)
    turn = client.predict(question=f"What color is the heart? {MARK}", images=[scene], api_name="/chat_ask")
    return turn | {"client": client}


@pytest.fixture
def attacker(public: Program) -> Iterator[Client]:
    made = Client(public.url, verbose=False, analytics_enabled=False)
    yield made
    made.close()


def got(public: Program, path: str, body: Any = None, told: str = "", **headers: str) -> tuple[int, str]:
    """Status and text of an answer. What no answer may hold is looked for in each, less what was `told` to the server."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    kinds = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(public.url + path, data, {**kinds, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode(errors="replace")
    assert_nothing_leaks(public, text.replace(told, "") if told else text)
    return status, text


def assert_nothing_leaks(public: Program, text: str) -> None:
    for secret in (SECRET, str(public.data), "Traceback", 'File "', str(ROOT / "app")):
        assert secret not in text, f"{secret} in {text[:300]}"


def refused(public: Program, client: Client, name: str, **given: Any) -> str:
    with pytest.raises(AppError) as error:
        client.predict(**given, api_name=name)
    assert_nothing_leaks(public, str(error.value))
    return str(error.value)


def config(public: Program) -> dict[str, Any]:
    return json.loads(got(public, "config")[1])


class TestApart:
    def test_no_named_endpoint_tells_of_anothers_turn(
        self, public: Program, victim: dict[str, Any], attacker: Client, scene: dict[str, Any]
    ) -> None:
        run, missing = victim["run_id"], "0" * 28
        for name, more in (
            ("/attention_trace", {}),
            ("/attention_map", {"method": "attention"}),
            ("/patches_similar", {"patch": [5, 3]}),
        ):
            said = refused(public, attacker, name, run_id=run, **more)
            assert said.replace(run, "ID") == refused(public, attacker, name, run_id=missing, **more).replace(missing, "ID")
            assert "There is no run" in said
        assert attacker.predict(query=MARK, api_name="/sessions_search") == []
        assert attacker.predict(limit=1000, api_name="/sessions_search") == []
        assert victim["client"].predict(query=MARK, api_name="/sessions_search")[0]["id"] == run
        assert victim["client"].predict(run_id=run, api_name="/attention_trace")["run_id"] == run

    def test_every_named_endpoint_was_attacked(self, public: Program) -> None:
        """Whoever adds one says here whether it takes an id."""
        status, text = got(public, "gradio_api/info")
        assert status == 200
        ids = {"run_id", "session", "comparison", "group"}
        taking = {name for name, about in json.loads(text)["named_endpoints"].items()
                  if ids & {parameter["parameter_name"] for parameter in about["parameters"]}}  # fmt: skip
        known = {
            "/chat_ask",
            "/attention_trace",
            "/attention_map",
            "/patches_similar",
            "/compare_ask",
            "/compare_vote",
            "/compare_results",
        }
        assert taking <= known, taking - known

    def test_a_programs_session_goes_on_for_whoever_has_its_id(self, public: Program, attacker: Client) -> None:
        first = attacker.predict(question="Hello?", api_name="/chat_ask")
        with_id = Client(public.url, verbose=False, analytics_enabled=False)
        again = with_id.predict(question="And now?", session=first["session"], api_name="/chat_ask")
        assert again["session"] == first["session"]
        assert {row["id"] for row in with_id.predict(api_name="/sessions_search")} == {first["run_id"], again["run_id"]}
        assert "There is no session 'guessed'" in refused(public, attacker, "/chat_ask", question="Hi", session="guessed")

    def test_no_function_of_the_page_tells_of_anothers_turn(self, public: Program, victim: dict[str, Any]) -> None:
        run, tried = victim["run_id"], 0
        for component in config(public)["components"]:
            for name in component["props"].get("server_fns") or ():
                for data in (
                    run,
                    {"run": run, "what": "open", "kind": "open", "key": "k"},
                    {"group": run, "runs": [run], "run": run},
                ):
                    body = {"session_hash": "nobody", "component_id": component["id"], "fn_name": name, "data": data}
                    status, text = got(public, "gradio_api/component_server", body)
                    assert status == 200
                    assert MARK not in text
                    assert "heart" not in text, text[:300]
                    tried += 1
        assert tried >= 21, "transcript, attention, patches"

    def test_no_event_of_the_page_tells_of_anothers_turn_or_changes_it(self, public: Program, victim: dict[str, Any]) -> None:
        """Every event there is, private ones too, with what a page would send about somebody else's turn."""
        run, tried = victim["run_id"], 0
        before = _rows(public)
        for one in config(public)["dependencies"]:
            if one.get("backend_fn") is False or one.get("api_name") in ("chat_ask", "compare_ask"):
                continue
            for action in ("look", "find", "into", "compare"):
                if action != "look" and not any(target[1] == "act" for target in one["targets"]):
                    continue
                event = {"run": run, "action": action, "index": 0, "id": 5, "value": 1, "name": "x", "kind": "heat", "group": run}
                body = {"data": [None] * len(one["inputs"]), "fn_index": one["id"], "session_hash": f"x{one['id']}{action}",
                        "event_data": event, "trigger_id": one["targets"][0][0] if one["targets"] else None}  # fmt: skip
                status, text = got(public, "gradio_api/queue/join", body)
                if status == 200:
                    text = _stream(public, body["session_hash"])
                assert MARK not in text, (one["id"], text[:300])
                assert_nothing_leaks(public, text)
                tried += 1
        assert tried >= 50
        after = _rows(public)
        assert after["victim"] == before["victim"]
        assert public.history.run(run).row.rating == 0

    def test_a_halt_names_no_run(self, public: Program) -> None:
        """Which answer a page may stop is kept on the server: no event takes an id of one."""
        states = {one["id"] for one in config(public)["components"] if one["type"] == "state"}
        quick = [one for one in config(public)["dependencies"] if not one["queue"] and len(one["inputs"]) == 1]
        assert quick
        assert all(one["inputs"][0] in states for one in quick if one["targets"] and one["targets"][0][1] in ("click", "halt"))


def _rows(public: Program) -> dict[str, Any]:
    rows = public.history.store.read(
        "SELECT r.id, r.session_id, r.status, s.current_run_id, s.name, s.settings FROM runs r "
        "JOIN sessions s ON s.id = r.session_id "
        "JOIN messages m ON m.id = r.prompt_id WHERE m.text LIKE ? ORDER BY r.id", [f"%{MARK}%"],
    )  # fmt: skip
    return {"victim": rows}


def _stream(public: Program, session: str) -> str:
    """All that the server says to a page until its event is over."""
    said = []
    with urllib.request.urlopen(f"{public.url}gradio_api/queue/data?session_hash={session}", timeout=60) as answer:
        for line in answer:
            said.append(line.decode(errors="replace"))
            if '"process_completed"' in said[-1] or '"close_stream"' in said[-1] or '"unexpected_error"' in said[-1]:
                break
    return "".join(said)


class TestComparing:
    """Compare, attacked by its endpoints, its functions and its events."""

    DUEL = "okapi4712"

    @pytest.fixture(scope="class")
    def duel(self, public: Program, scene: dict[str, Any]) -> dict[str, Any]:
        """A blind comparison of another program, which waits for its vote."""
        client = Client(public.url, verbose=False, analytics_enabled=False)
        columns = ["tiny-llava", {"spec": "tiny-llava", "temperature": 1.5, "seed": 5}]
        given = {"question": f"What color is the heart? {self.DUEL}", "columns": columns, "images": [scene], "blind": True}
        return client.predict(**given, api_name="/compare_ask") | {"client": client}

    def test_a_comparison_of_others_is_not_told_voted_on_or_counted(
        self, public: Program, duel: dict[str, Any], attacker: Client
    ) -> None:
        group, own = duel["group"], attacker.predict(question="Hello?", api_name="/chat_ask")["session"]
        for session in ("", own):
            said = [
                refused(public, attacker, "/compare_vote", group=id, outcome="A", session=session) for id in (group, "0" * 28)
            ]
            assert said[0] == said[1], "whether there is one is not told"
            assert "There is no such comparison." in said[0]
            results = attacker.predict(session=session, api_name="/compare_results")
            assert (results["votes"], results["columns"], results["by_kind"]) == (0, [], {})
        for name, given in (
            ("/compare_vote", {"group": group, "outcome": "A"}), ("/compare_results", {}), ("/compare_ask", {"question": "Hi"}),
        ):  # fmt: skip
            assert "There is no session 'guessed'" in refused(public, attacker, name, **given, session="guessed")
        assert public.history.comparison(group).sealed
        assert public.history.votes(duel["session"]) == []
        assert attacker.predict(query=self.DUEL, api_name="/sessions_search") == []

    def test_its_own_maker_is_not_told_either_before_the_vote(self, public: Program, duel: dict[str, Any]) -> None:
        client, held = duel["client"], public.history.comparison(duel["group"])
        rows = client.predict(query=self.DUEL, api_name="/sessions_search")
        assert [(row["checkpoint"], row["new_tokens"], row["started_at"]) for row in rows] == [
            ("hidden until the vote", None, held.created_at)] * 2  # fmt: skip
        for side in held.columns:
            for name, more in (("/attention_trace", {}), ("/attention_map", {"method": "attention"}), ("/patches_similar", {})):
                assert "waits for its vote" in refused(public, client, name, run_id=side.run, **more)
        assert not any(word in json.dumps(duel["columns"]) for word in ("tiny", "temperature", *(s.run for s in held.columns)))

    def test_its_functions_draw_nothing_of_others(self, public: Program, duel: dict[str, Any]) -> None:
        runs, tried = [side.run for side in public.history.comparison(duel["group"]).columns], 0
        open_ = duel["client"].predict(question=f"Hello? {self.DUEL}", session=duel["session"], api_name="/compare_ask")
        for ids in (runs, [column["run_id"] for column in open_["columns"]]):
            for component in config(public)["components"]:
                for name in component["props"].get("server_fns") or ():
                    data = {"what": "heat", "runs": ids, "run": ids[0], "words": [[0], [0]], "method": "attention", "key": "k"}
                    body = {"session_hash": "nobody", "component_id": component["id"], "fn_name": name, "data": data}
                    status, text = got(public, "gradio_api/component_server", body)
                    assert (status, "scores" in text, self.DUEL in text) == (200, False, False), text[:300]
                    tried += 1
        assert tried >= 20
        count = "SELECT count(*) AS n FROM artifacts a JOIN runs r ON r.id = a.run_id WHERE r.session_id = ? AND a.kind = 'heat'"
        assert public.history.store.read(count, [duel["session"]]) == [{"n": 0}]

    def test_no_event_of_the_page_opens_votes_on_or_reveals_it(self, public: Program, duel: dict[str, Any]) -> None:
        """As one page: first it opens with the comparison in its address, then sends every event there is."""
        group, address = duel["group"], f"gradio_api/queue/join?compare={duel['group']}&a=/etc&b=somebody/other"
        dependencies = [one for one in config(public)["dependencies"] if one.get("backend_fn") is not False]
        opening = [one for one in dependencies if any(target[1] == "load" for target in one["targets"])]
        after = [one for one in dependencies if one.get("trigger_after") in {first["id"] for first in opening}]
        assert opening
        assert after
        said = []
        for one in (*opening, *after, *dependencies):
            if one.get("api_name") in ("chat_ask", "compare_ask"):
                continue
            event = {"run": group, "group": group, "outcome": "A", "reasons": [], "waited_ms": 1, "letter": "A", "kind": "",
                     "blind": False, "action": "compare", "name": "x"}  # fmt: skip
            body = {"data": [None] * len(one["inputs"]), "fn_index": one["id"], "session_hash": "spying", "event_data": event,
                    "trigger_id": one["targets"][0][0] if one["targets"] else None}  # fmt: skip
            status, text = got(public, address, body)
            said.append(_stream(public, "spying") if status == 200 else text)
            assert self.DUEL not in said[-1]
        assert len(said) > 50
        assert any("There is no such comparison" in text for text in said), "the address was read"
        assert public.history.comparison(group).sealed
        assert public.history.votes(duel["session"]) == []

    def test_checkpoints_are_not_typed_in_and_no_folder_is_looked_for(self, public: Program, attacker: Client) -> None:
        wanted = [
            "/etc",
            "/no/such/folder",
            str(public.data),
            "somebody/other",
            "tiny-llava:nf4",
            "tiny-llava@main",
            "assets/checkpoints/tiny-llava-stage1/",
        ]
        for spec in wanted:
            columns = ["tiny-llava", {"spec": spec}]
            made = attacker.predict(question="Hello?", columns=columns, api_name="/compare_ask")
            first, second = made["columns"]
            assert (bool(first["text"]), first["error"]) == (True, "")
            most = "is not on offer: on a public page only the checkpoints listed can be used."
            assert second["error"].replace(repr(spec), "SPEC") == f"SPEC {most} Run Fovea yourself to load others."
            made = attacker.predict(question="Hello?", columns=columns, blind=True, api_name="/compare_ask")
            assert any("not on offer" in column["error"] for column in made["columns"]), "a failed blind one is told whole"
        nf4 = [{"spec": "tiny-llava", "quantization": "nf4"}, "tiny-llava"]
        assert "not on offer" in attacker.predict(question="Hi", columns=nf4, api_name="/compare_ask")["columns"][0]["error"]

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"columns": ["tiny-llava"] * 5}, "2 to 4 columns; 5 were given"),
            ({"columns": [f"x{i}" for i in range(500)]}, "2 to 4 columns; 500 were given"),
            ({"columns": ["tiny-llava"]}, "2 to 4 columns; 1 were given"),
            ({"columns": "tiny-llava"}, "2 to 4 columns; no were given"),
            ({"columns": {"spec": "tiny-llava"}}, "2 to 4 columns; no were given"),
            ({"columns": ["tiny-llava", {"spec": {"spec": "x"}}]}, "names no checkpoint"),
            ({"columns": ["tiny-llava", {"spec": "tiny-llava", "system": "x" * 8001}]}, "at most 8,000 characters"),
            ({"columns": ["tiny-llava", {"spec": "tiny-llava", "side_px": 10**9}]}, "28 to 4096 px"),
            ({"columns": ["tiny-llava", {"spec": "tiny-llava", "length": 10**9}]}, "Length is 1000000000"),
            ({"columns": ["tiny-llava", {"spec": "tiny-llava", "seed": -1}]}, "Seed is -1"),
            ({"question": "x" * 100_001}, "100,001 characters; at most 100,000 are read"),
            ({"question": " "}, "The question is empty"),
        ],
    )  # fmt: skip
    def test_what_is_too_much_is_a_sentence(self, public: Program, attacker: Client, given: dict[str, Any], words: str) -> None:
        before = public.history.store.read("SELECT count(*) AS n FROM comparisons")
        assert words in refused(public, attacker, "/compare_ask", **({"question": "Hi"} | given))
        assert public.history.store.read("SELECT count(*) AS n FROM comparisons") == before

    def test_a_column_that_asks_for_too_many_tokens_or_pictures_says_so(
        self, public: Program, attacker: Client, scene: dict[str, Any]
    ) -> None:
        long = {"spec": "tiny-llava", "length": 513}
        made = attacker.predict(question="Hello?", columns=[long, "tiny-llava"], api_name="/compare_ask")
        assert made["columns"][0]["error"] == "Length is 513; at most 512 on this public page. Lower it."
        assert made["columns"][1]["text"]
        assert "at most 8" in refused(public, attacker, "/compare_ask", question="What?", images=[scene] * 9)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"outcome": "C"}, "one of A, B, tie, bad"),
            ({"outcome": "A" * 9000}, "one of A, B, tie, bad"),
            ({"outcome": "A", "reasons": ["correct"] * 21}, "Choose some of those shown"),
            ({"outcome": "A", "reasons": [["correct"]]}, "Choose some of those shown"),
            ({"outcome": "A", "reasons": {"correct": 1}}, "Give a list of their names"),
            ({"outcome": "A", "reasons": ["<script>"]}, "no reason"),
        ],
    )
    def test_what_is_no_vote_is_a_sentence(
        self, public: Program, duel: dict[str, Any], given: dict[str, Any], words: str
    ) -> None:
        named = {"group": duel["group"], "session": duel["session"]}
        assert words in refused(public, duel["client"], "/compare_vote", **named, **given)
        assert public.history.comparison(duel["group"]).sealed

    def test_a_blind_vote_is_final_and_counts_for_its_session_alone(
        self, public: Program, duel: dict[str, Any], attacker: Client
    ) -> None:
        """Last of these: it unseals."""
        named = {"group": duel["group"], "session": duel["session"]}
        told = duel["client"].predict(**named, outcome="A", reasons=["correct"], api_name="/compare_vote")
        assert {column["label"] for column in told["columns"]} == {"tiny-llava", "tiny-llava, temperature 1.5, seed 5"}
        assert "It stays as it is" in refused(public, duel["client"], "/compare_vote", **named, outcome="B")
        assert duel["client"].predict(session=duel["session"], api_name="/compare_results")["votes"] == 1
        assert attacker.predict(api_name="/compare_results")["votes"] == 0


class TestFiles:
    def test_the_log_and_the_program_are_not_served(self, public: Program, tmp_path: Path) -> None:
        data, inside = public.data, public.uploads / "linked"
        inside.mkdir(parents=True, exist_ok=True)
        link = inside / "log.png"
        link.symlink_to(data / "fovea.db")
        ups = "../" * 12
        for path in (f"{data}/fovea.db", f"{data}/../{data.name}/fovea.db", f"{public.uploads}/{ups}{str(data)[1:]}/fovea.db",
                     f"{data}/blobs", str(ROOT / "app.py"), str(ROOT / "README.md"), "app.py", "data/fovea.db", "/etc/passwd",
                     f"{public.uploads}/..%2f..%2f{data.name}/fovea.db", f"{link}", "/proc/self/environ"):  # fmt: skip
            status, text = got(public, f"gradio_api/file={path}", told=path)
            assert status in (400, 403, 404), (path, status)
            assert "SQLite" not in text
            assert got(public, f"file={path}", told=path)[0] in (400, 403, 404, 405), path

    def test_a_picture_cannot_be_a_path_of_the_server(self, public: Program, attacker: Client) -> None:
        for path in (f"{public.data}/fovea.db", "/etc/passwd", str(ROOT / "assets" / "examples" / "scene.png")):
            _, text = _asked(public, [{"path": path, "meta": {"_type": "gradio.FileData"}}])
            assert '"text"' not in text, text[:300]
            assert_nothing_leaks(public, text.replace(path, ""))

    def test_monitoring_and_what_else_gradio_could_serve_are_off(self, public: Program) -> None:
        for path in ("monitoring", "monitoring/summary", "monitoring/x", "gradio_api/runs", "gradio_api/run-history/records",
                     "gradio_api/proxy=http://127.0.0.1/", "gradio_api/vibe-code/", "docs", "redoc",
                     "gradio_api/mcp/sse", "gradio_api/mcp/"):  # fmt: skip
            status, text = got(public, path)
            assert status >= 400 or "<!doctype html>" in text[:40].lower(), (path, status, text[:200])
            assert "analytics" not in text[:200]


def _asked(public: Program, images: list[Any], **headers: str) -> tuple[int, str]:
    """chat_ask as curl would call it."""
    status, text = got(public, "gradio_api/call/chat_ask", {"data": ["What is it?", images, "", "", "", 0, 1, 16, 0]}, **headers)
    if status != 200:
        return status, text
    with urllib.request.urlopen(f"{public.url}gradio_api/call/chat_ask/{json.loads(text)['event_id']}", timeout=60) as answer:
        return 200, answer.read().decode(errors="replace")


class TestUploads:
    def test_nothing_is_fetched_from_an_address(self, public: Program) -> None:
        hits: list[str] = []

        class Canary(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hits.append(self.path)
                self.send_error(404)

            def log_message(self, *given: Any) -> None:
                return

        canary = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canary)
        threading.Thread(target=canary.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{canary.server_port}/x.png"
        for path in (
            address,
            f" {address}",
            address.upper().replace("X.PNG", "x.png"),
            "https://example.com/x.png",
            "file:///etc/passwd",
        ):
            status, text = _asked(public, [{"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}])
            assert (status, "not fetched" in text) == (400, True), (path, text[:200])
        status, text = _asked(public, [{"path": "x.png", "url": address, "meta": {"_type": "gradio.FileData"}}])
        assert "pink" not in text
        canary.shutdown()
        canary.server_close()
        assert hits == []

    def test_pictures_are_limited_in_bytes_pixels_number_and_kind(
        self, public: Program, attacker: Client, tmp_path: Path, scene: dict[str, Any]
    ) -> None:
        Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
        Image.new("1", (13000, 13000)).save(tmp_path / "huge.png")
        Image.new("1", (5600, 5000)).save(tmp_path / "large.png")
        Image.new("L", (30000, 100)).save(tmp_path / "thin.png")
        (tmp_path / "drawing.png").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>')
        (tmp_path / "page.png").write_bytes(b"<!doctype html><script>1</script>")
        said_of = {
            "bomb": "9000 x 9000", "huge": "13000 x 13000", "large": "28 megapixels", "thin": "too long and thin",
            "drawing": "SVG", "page": "web page",
        }  # fmt: skip
        for name, words in said_of.items():
            said = refused(public, attacker, "/chat_ask", question="What?", images=[handle_file(str(tmp_path / f"{name}.png"))])
            assert words in said, said
        assert "at most 8" in refused(public, attacker, "/chat_ask", question="What?", images=[scene] * 9)
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "x" * 60_000
        Image.new("RGB", (80, 40), "red").save(tmp_path / "turned.jpg", exif=exif)
        turn = attacker.predict(question="What?", images=[handle_file(str(tmp_path / "turned.jpg"))], api_name="/chat_ask")
        assert turn["done"]

    def test_a_file_over_the_limit_is_not_taken(self, public: Program) -> None:
        edge = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
        body = edge + b"x" * 26_500_000 + b"\r\n--edge--\r\n"
        status, _ = got(public, "gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=edge"})
        assert status == 413

    def test_a_request_without_end_is_not_read(self, public: Program) -> None:
        status, text = got(public, "gradio_api/call/chat_ask", {"data": ["x" * (MOST_BODY_BYTES + 1)]})
        assert (status, "larger than 4 MB" in text) == (413, True)
        assert got(public, "gradio_api/app_id")[0] == 200


class TestModel:
    @pytest.mark.parametrize(
        "typed", ["/etc", "owner/name", "tiny-llava:bfloat16", "..", "~", "../../etc", "tiny-llava@main", "nowhere"]
    )
    def test_no_checkpoint_is_typed_in_and_none_is_looked_for(
        self, typed: str, public: Program, attacker: Client, scene: dict[str, Any]
    ) -> None:
        """The same sentence for what is there and what is not: nothing tells which folders the server has."""
        said = refused(public, attacker, "/chat_ask", question="Hi", checkpoint=typed)
        assert f"{typed!r} is not on offer" in said
        for name, more in (("/attention_trace", {"answer": "pink"}), ("/patches_similar", {"patch": [1, 1]})):
            assert "is not on offer" in refused(public, attacker, name, question="Hi", images=[scene], checkpoint=typed, **more)

    def test_length_is_limited(self, public: Program, attacker: Client) -> None:
        assert "at most 512" in refused(public, attacker, "/chat_ask", question="Hi", max_new_tokens=513)
        assert "100,000" in refused(public, attacker, "/chat_ask", question="x" * 100_001)

    def test_one_address_runs_four_at_once(self, public: Program, endless: Path) -> None:
        clients = [
            Client(public.url, verbose=False, analytics_enabled=False, headers={"X-Forwarded-For": "8.8.8.8"}) for _ in range(5)
        ]
        jobs = [
            one.submit(question="Go on.", checkpoint=str(endless), max_new_tokens=512, api_name="/chat_ask")
            for one in clients[:4]
        ]
        soon_true(lambda: all(job.outputs() for job in jobs), 60)
        assert "4 of your calls run or wait already" in refused(public, clients[4], "/chat_ask", question="Hi")
        other = Client(public.url, verbose=False, analytics_enabled=False, headers={"X-Forwarded-For": "8.8.8.8, 9.9.9.9"})
        waiting = other.submit(question="Hi", api_name="/chat_ask")
        for job in jobs:
            job.cancel()
        assert waiting.result(timeout=90)["done"]

    def test_errors_are_sentences(self, public: Program, attacker: Client) -> None:
        for given in (
            {"question": "Hi", "temperature": "warm"},
            {"question": None},
            {"question": "Hi", "seed": -1},
            {"question": "\ud800"},
        ):
            said = refused(public, attacker, "/chat_ask", **given) if given["question"] != "\ud800" else "."
            assert said.rstrip().endswith(".")
        for body in (b"{", b"[]", b"null", b'{"data": {}}', b'{"data": [' + b"[" * 5000 + b"]" * 5000 + b"]}"):
            for path in (
                "gradio_api/call/chat_ask",
                "gradio_api/queue/join",
                "gradio_api/run/chat_ask",
                "gradio_api/component_server",
            ):
                status, _ = got(public, path, body)
                assert status >= 400 or status == 200
        assert got(public, "gradio_api/app_id")[0] == 200


class TestRateLimiter:
    @staticmethod
    def limiter(now: list[float], **limits: Any) -> RateLimiter:
        return RateLimiter(Limits(**limits), lambda: "1.2.3.4", lambda: now[0])

    def test_so_many_calls_in_so_long(self) -> None:
        now = [0.0]
        limiter = self.limiter(now, calls=3, within_s=30.0)
        for _ in range(3):
            with limiter.entered():
                pass
        with pytest.raises(WorkbenchError, match=r"more than 3 calls in 30 s\. Try again in 10 s\."), limiter.entered():
            pass
        now[0] = 10.1
        with limiter.entered():
            pass
        with pytest.raises(WorkbenchError), limiter.entered():
            pass

    def test_what_is_refused_does_not_count_as_running(self) -> None:
        limiter = self.limiter([0.0], at_once=1)
        with limiter.entered():
            for _ in range(3):
                with pytest.raises(WorkbenchError, match="1 of your calls"), limiter.entered():
                    pass
        with limiter.entered():
            pass

    def test_pictures_and_length(self) -> None:
        limiter = self.limiter([0.0], pixels=1000, pictures=1, new_tokens=8)
        small, large = from_image(Image.new("RGB", (20, 20))), from_image(Image.new("RGB", (40, 40)))
        limiter.check(ask("x", small), Options(8))
        for prompt, options in ((ask("x", large), Options(8)), (ask("x", small, small), Options(8)), (ask("x"), Options(9))):
            with pytest.raises(WorkbenchError):
                limiter.check(prompt, options)

    def test_a_call_is_checked_before_it_counts(self) -> None:
        limiter = self.limiter([0.0], calls=2, pictures=0)
        small = from_image(Image.new("RGB", (20, 20)))
        with pytest.raises(InputError), limiter.admit([(ask("x", small), None)]):
            pass
        with limiter.admit([(ask("x"), Options()), (ask("y"), None)]):
            pass
        with pytest.raises(WorkbenchError, match="more than 2 calls"), limiter.admit([(ask("x"), None)]):
            pass

    @pytest.mark.parametrize(
        ("peer", "forwarded", "address"),
        [
            ("8.8.8.8", "1.1.1.1", "8.8.8.8"),
            ("127.0.0.1", "", "127.0.0.1"),
            ("10.0.0.7", "1.1.1.1", "1.1.1.1"),
            ("10.0.0.7", "6.6.6.6, 1.1.1.1, 10.0.0.9", "1.1.1.1"),
            ("10.0.0.7", "192.168.0.5", "192.168.0.5"),
            ("::1", "2a00::1, 1.1.1.1", "1.1.1.1"),
        ],
    )
    def test_an_address_is_the_last_that_is_not_the_hosts_own(self, peer: str, forwarded: str, address: str) -> None:
        assert address_of(peer, forwarded) == address


def until_stopped(subject: Subject, run: Run) -> str:
    """Work that ends when it is told to."""
    if run.stop.wait(20):
        raise Interrupted
    return "never stopped"


class TestTimedSlot:
    @pytest.fixture
    def core(self, endless: Path) -> Core:
        core = open_core(str(endless))
        slot = TimedSlot(Here(core.pool), 1.0)
        core.slot_of = lambda checkpoint: slot
        return core

    def test_an_answer_that_takes_too_long_ends_with_what_it_has(self, core: Core, endless: Path) -> None:
        finished = core.answer("Hello?", checkpoint=str(endless), options=Options(4000))
        assert finished.reason == "stopped"
        assert finished.new_tokens < 4000

    def test_columns_that_take_too_long_end_too(self, core: Core, endless: Path) -> None:
        columns = [Column(parse_spec(str(endless)), ask("Hello?"), Options(4000)) for _ in range(2)]
        events = list(core.side_by_side(columns))
        last = [one.event for one in events if isinstance(one, ColumnEvent) and isinstance(one.event, Finished)]
        assert [one.reason for one in last] == ["stopped"] * 2

    def test_other_work_that_takes_too_long_fails_with_a_sentence(self, core: Core, endless: Path) -> None:
        with pytest.raises(WorkbenchError, match="longer than the 1 s a visitor has here"):
            core.examined(parse_spec(str(endless)), ask("Hello?"), "Yes", until_stopped)

    def test_what_is_quick_enough_is_not_touched(self, core: Core, endless: Path) -> None:
        slot = TimedSlot(Here(core.pool), 60.0)
        core.slot_of = lambda checkpoint: slot
        assert core.answer("Hello?", checkpoint=str(endless), options=Options(2)).reason == "length"
        assert core.score(parse_spec(str(endless)), ask("Hello?"), ["Yes", "No"]).total.shape == (2,)


class Page:
    """Stands for what Gradio holds of a page, by which the server knows it."""

    def __init__(self, guests: Guests, key: str) -> None:
        self.guests = guests
        self(guests.enter, key)

    def __call__(self, done: Callable[..., Any], *given: Any) -> Any:
        LocalContext.blocks_config.set(self)
        try:
            return done(*given)
        finally:
            LocalContext.blocks_config.set(None)


class TestWhatIsNotToBeKept:
    ANNA, BERT = "a" * 32, "b" * 32

    @pytest.fixture
    def now(self) -> list[float]:
        return [1000.0]

    @pytest.fixture
    def guests(self, tmp_path: Path, now: list[float]) -> Iterator[Guests]:
        store = Store(tmp_path)
        yield Guests(store, lambda: now[0])
        store.close()

    @staticmethod
    def begun(page: Page, kept: bool = False) -> str:
        """A session of that page's visitor."""
        page(page.guests.keep, kept)
        log = GuestLog(History(page.guests.store), page.guests)
        return page(log.new_session)

    @staticmethod
    def there(guests: Guests) -> set[str]:
        return {session.id for session in History(guests.store).sessions()}

    def test_it_goes_a_minute_after_the_last_page_is_closed(self, guests: Guests, now: list[float]) -> None:
        first, second, other = (Page(guests, key) for key in (self.ANNA, self.ANNA, self.BERT))
        mine, others = self.begun(first), self.begun(other, kept=True)
        first(guests.leave)
        other(guests.leave)
        now[0] += 300
        assert guests.sweep() == 0, "another tab is open"
        second(guests.leave)
        now[0] += 59.9
        assert guests.sweep() == 0
        now[0] += 0.1
        assert guests.sweep() == 1
        assert self.there(guests) == {others}
        assert mine != others

    def test_a_reload_keeps_it_whichever_is_heard_first(self, guests: Guests, now: list[float]) -> None:
        """The old page is heard to close before the new one opens, or after."""
        old = Page(guests, self.ANNA)
        mine = self.begun(old)
        old(guests.leave)
        now[0] += 5
        new = Page(guests, self.ANNA)
        now[0] += 120
        assert guests.sweep() == 0
        third = Page(guests, self.ANNA)
        new(guests.leave)
        now[0] += 120
        assert guests.sweep() == 0
        assert self.there(guests) == {mine}
        third(guests.leave)
        now[0] += 60
        assert guests.sweep() == 1

    def test_a_page_that_lost_its_connection_and_asks_again_is_open(self, guests: Guests, now: list[float]) -> None:
        page = Page(guests, self.ANNA)
        self.begun(page)
        page(guests.leave)
        now[0] += 30
        page(guests.here)
        now[0] += 60
        assert guests.sweep() == 0

    def test_on_an_open_page_it_goes_after_a_quarter_of_an_hour_in_which_nothing_is_done(
        self, guests: Guests, now: list[float]
    ) -> None:
        page = Page(guests, self.ANNA)
        self.begun(page)
        for _ in range(3):
            now[0] += 899
            assert guests.sweep() == 0
            page(guests.here)
        now[0] += 900
        assert guests.sweep() == 1
        assert self.there(guests) == set()
        assert guests._seen == {}, "nobody is remembered for ever"

    def test_what_an_earlier_program_left_goes_at_the_start_and_all_at_the_end(self, guests: Guests, now: list[float]) -> None:
        page = Page(guests, self.ANNA)
        self.begun(page)
        assert Guests(guests.store, lambda: now[0]).sweep() == 1, "a new program has seen nobody"
        self.begun(page)
        kept = self.begun(Page(guests, self.BERT), kept=True)
        assert guests.sweep(everything=True) == 1
        assert self.there(guests) == {kept}

    def test_what_is_asked_on_a_page_whose_session_is_gone_is_refused(self, guests: Guests) -> None:
        """Else it would be written down under nobody, and stay."""
        page, history = Page(guests, self.ANNA), History(guests.store)
        session = self.begun(page)
        bench = Bench(Core(), GuestLog(history, guests), (), True, lambda: None, str, str)  # type: ignore[arg-type]
        state = SessionState(session)
        assert page(bench.standing, state) == state
        page(guests.forget)
        with pytest.raises(InputError, match="reload the page to begin a new one"):
            page(bench.standing, state)

    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # Gradio's server leaves sockets and loops to the collector
    def test_a_page_that_is_closed_is_heard_by_the_server(self, guests: Guests, now: list[float], tmp_path: Path) -> None:
        """Over HTTP, as a browser does it: the page opens, holds its connection, and lets it go."""
        port = free_port()
        demo = build_demo(core := Core(), History(guests.store), Starting([parse_spec("tiny-llava")], core.pool.load), guests)
        launch(demo, Settings("127.0.0.1", port, tmp_path / "none", (), "WAL", True, True))
        url = f"http://127.0.0.1:{port}/gradio_api/"
        try:
            found = demo.get_config_file()
            strip = {part["props"].get("elem_id"): part["id"] for part in found["components"]}
            entering = next(one for one in found["dependencies"] if any(name == "load" for _, name in one["targets"]))
            keeping = next(one for one in found["dependencies"] if [strip["guest-keep"], "click"] in map(list, one["targets"]))
            for one, data in ((entering, [""]), (keeping, [])):
                body = {"data": data, "fn_index": one["id"], "session_hash": "tab"}
                asked = urllib.request.Request(
                    f"{url}queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
                )
                urllib.request.urlopen(asked, timeout=60).close()
                with urllib.request.urlopen(f"{url}queue/data?session_hash=tab", timeout=60) as said:
                    assert any('"process_completed"' in line.decode() for line in said)
            [owner] = guests.store.read("SELECT id FROM guests WHERE kept = 0")
            session = History(guests.store).new_session()
            with guests.store.write() as db:
                db.execute("UPDATE sessions SET owner = ? WHERE id = ?", [owner["id"], session])
            with urllib.request.urlopen(f"{url}heartbeat/tab", timeout=60) as beat:
                assert b"ALIVE" in beat.readline()
                now[0] += 120
                assert guests.sweep() == 0
            soon_true(lambda: owner["id"] in guests._left, 60)
            now[0] += 60
            assert guests.sweep() == 1
        finally:
            demo.close()
            del demo
            asyncio.set_event_loop(None)  # Gradio's last; here, where its warning is ignored, and not in a later test
            gc.collect()


def test_the_length_that_is_offered_is_the_length_that_is_allowed(public: Program, attacker: Client) -> None:
    slider = next(part["props"] for part in config(public)["components"] if part["props"].get("elem_id") == "set-length")
    most = Limits().new_tokens
    assert (slider["maximum"], slider["info"]) == (most, f"At most {most} tokens on this public page.")
    assert attacker.predict(question="Hello?", max_new_tokens=most, api_name="/chat_ask")["done"]
    said = refused(public, attacker, "/chat_ask", question="Hello?", max_new_tokens=most + 1)
    assert said == f"Length is {most + 1}; at most {most} on this public page. Lower it."
    assert _settings.kept({"length": 1024, "seed": 3}, most) == {"length": most, "seed": 3}
    assert _settings.kept({"length": 1024}) == {"length": 1024}
