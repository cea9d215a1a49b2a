"""A public page attacked over HTTP: by its named endpoints, by the page's own events and functions, by files and bodies."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from program import ROOT, Program, soon_true

from app.door import Door, Limits, address_of
from app.gate import MOST_BODY_BYTES
from app.guests import Guests
from app.history import History
from app.store import Store
from model import Options, WorkbenchError, ask, from_image
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


class TestDoor:
    @staticmethod
    def door(now: list[float], **limits: Any) -> Door:
        return Door(Limits(**limits), lambda: "1.2.3.4", lambda: now[0])

    def test_so_many_calls_in_so_long(self) -> None:
        now = [0.0]
        door = self.door(now, calls=3, within_s=30.0)
        for _ in range(3):
            with door.entered():
                pass
        with pytest.raises(WorkbenchError, match=r"more than 3 calls in 30 s\. Try again in 10 s\."), door.entered():
            pass
        now[0] = 10.1
        with door.entered():
            pass
        with pytest.raises(WorkbenchError), door.entered():
            pass

    def test_what_is_refused_does_not_count_as_running(self) -> None:
        door = self.door([0.0], at_once=1)
        with door.entered():
            for _ in range(3):
                with pytest.raises(WorkbenchError, match="1 of your calls"), door.entered():
                    pass
        with door.entered():
            pass

    def test_pictures_and_length(self) -> None:
        door = self.door([0.0], pixels=1000, pictures=1, new_tokens=8)
        small, large = from_image(Image.new("RGB", (20, 20))), from_image(Image.new("RGB", (40, 40)))
        door.check(ask("x", small), Options(8))
        for prompt, options in ((ask("x", large), Options(8)), (ask("x", small, small), Options(8)), (ask("x"), Options(9))):
            with pytest.raises(WorkbenchError):
                door.check(prompt, options)

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


def test_what_is_not_to_be_kept_goes(tmp_path: Path) -> None:
    """An hour after the last turn; at once where the program begins or ends. Others' stays."""
    store = Store(tmp_path)
    history, guests = History(store), Guests(store)
    sessions = [history.new_session() for _ in range(3)]
    with store.write() as db:
        for session, owner in zip(sessions, ("a", "b", "a"), strict=True):
            db.execute("UPDATE sessions SET owner = ? WHERE id = ?", [owner, session])
        db.execute("INSERT INTO guests (id, kept) VALUES ('a', 0), ('b', 1)")
        db.execute("UPDATE sessions SET started_at = '2020-01-01T00:00:00+00:00' WHERE id IN (?, ?)", sessions[:2])
    assert guests.sweep() == 1
    assert {one.id for one in history.sessions()} == set(sessions[1:])
    assert guests.sweep(0) == 1
    assert [one.id for one in history.sessions()] == [sessions[1]]
    store.close()
