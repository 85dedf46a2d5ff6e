"""What a visitor is told when a server behind the site does not answer, or the site itself fails."""

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from redis.exceptions import ConnectionError as CacheError

from accounts.models import Listener

pytestmark = pytest.mark.django_db


@pytest.fixture
def visitor():
    client = Client(raise_request_exception=False)
    client.force_login(Listener.objects.create_user("nina"))
    return client


def no_answer(fault):
    def raise_fault(*_args, **_kwargs):
        raise fault

    return raise_fault


@pytest.fixture
def no_database():
    with connection.execute_wrapper(no_answer(OperationalError("the server closed the connection"))):
        yield


@pytest.fixture
def no_cache(monkeypatch):
    for method in ("get", "set", "add", "incr", "get_many"):
        monkeypatch.setattr(cache, method, no_answer(CacheError("Connection refused")))


@pytest.mark.parametrize("path", ["/history/", "/songs/1/", "/account/login/"])
def test_a_database_that_does_not_answer(visitor, no_database, path):
    answer = visitor.get(path)
    assert answer.status_code == 503
    assert "Out for a moment" in answer.content.decode()
    assert "OperationalError" not in answer.content.decode()


def test_log_in_without_the_cache(visitor, no_cache):
    answer = Client(raise_request_exception=False).post("/account/login/", {"login": "nina", "password": "a plain one"})
    assert answer.status_code == 503
    assert "Out for a moment" in answer.content.decode()


def test_the_api_without_the_cache_or_the_database(visitor, no_cache, no_database):
    answer = visitor.get("/api/v1/songs/")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["status"] == 503


@pytest.mark.parametrize(
    ("path", "kind"), [("/search/?q=a", "text/html"), ("/api/v1/songs/", "application/problem+json")]
)
def test_a_fault_of_our_own(visitor, path, kind):
    with connection.execute_wrapper(no_answer(ZeroDivisionError("a secret"))):
        answer = visitor.get(path)
    assert answer.status_code == 500
    assert answer["Content-Type"].startswith(kind)
    assert "secret" not in answer.content.decode()
