import pytest
from django.core.management import call_command


@pytest.fixture(scope="session", autouse=True)
def _static_files():
    """Pages, those that tell of a fault too, name static files by their hashed names: collecting writes these down."""
    call_command("collectstatic", interactive=False, verbosity=0)


def pytest_addoption(parser):
    parser.addoption("--pictures", metavar="DIR", help="keep pictures of the pages there (make screenshots)")
