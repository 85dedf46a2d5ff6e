"""What stops `make run` before it starts anything, in words, and what keeps it going."""

import os
import signal
import subprocess
import sys
import time

import pytest
import redis

from quasimusic.launch import BASE_DIR


def launch(*options, **environment):
    command = [sys.executable, "-m", "quasimusic.launch", *options]
    return subprocess.run(
        command, cwd=BASE_DIR, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--port", "99999"], {}, "is no port; they go from 1 to 65535"),
        (["--port", "abc"], {}, "--port"),
        (["--dataset", "/nowhere"], {}, "No folder /nowhere"),
        ([], {"DATA_DIR": "/dev/null/data"}, "The settings cannot be used"),
        ([], {"SECRET_KEY": ""}, "SECRET_KEY"),
        ([], {"TRAIN_HOUR": "late"}, "late"),
    ],
)
def test_what_cannot_be_started_is_told_without_a_trace(options, environment, words):
    told = launch("--port", "8399", *options, **environment)
    assert told.returncode != 0
    assert words in told.stderr
    assert "Traceback" not in told.stderr


def test_a_folder_the_embedded_server_cannot_live_in(tmp_path):
    told = launch("--port", "8399", DATA_DIR=str(tmp_path / "my music"), REDIS_URL="")
    assert told.returncode != 0
    assert "no path with spaces" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_embedded_server_that_dies_is_started_again(tmp_path):
    socket = tmp_path / "s.sock"
    keeper = subprocess.Popen(
        [sys.executable, "-m", "quasimusic.embedded", tmp_path / "data", socket],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with keeper:
        assert keeper.stdout.readline() == b"ready\n"
        client = redis.Redis(unix_socket_path=str(socket))
        client.set("kept", 1)
        client.save()
        first = client.info("server")["process_id"]
        os.kill(first, signal.SIGKILL)
        assert within(20, lambda: client.info("server")["process_id"] != first)
        assert client.get("kept") == b"1"
        client.close()
        keeper.stdin.close()
        assert keeper.wait(timeout=10) == 0
    assert not socket.exists()


def within(seconds, wanted):
    """Whether it comes true in time; no answer is not yet."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if wanted():
                return True
        except redis.ConnectionError:
            pass
        time.sleep(0.2)
    return False


@pytest.mark.parametrize(
    "absent",
    [
        {"DATABASE_URL": "postgres://nobody@127.0.0.1:9/nowhere", "REDIS_URL": "redis://127.0.0.1:9/0"},
        {"DATABASE_URL": "", "REDIS_URL": "redis://127.0.0.1:9/0"},
    ],
    ids=["database", "redis"],
)
def test_a_server_that_does_not_answer_is_named(absent, tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "songs.csv").write_text("song_id,title,artist,popularity\n1,Alone,Nobody,5\n")
    told = launch("--port", "8399", "--dataset", str(tmp_path / "songs"), DATA_DIR=str(tmp_path / "data"), **absent)
    assert told.returncode != 0
    assert "does not answer; look at DATABASE_URL and REDIS_URL" in told.stderr
    assert "Traceback" not in told.stderr
