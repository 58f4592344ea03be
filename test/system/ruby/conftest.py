import pytest

from lib.daemon import BUILD, SANITIZED


@pytest.fixture(autouse=True)
def ruby_is_there():
    if not (BUILD / "lib/ruby/mayfly-ruby").exists():
        pytest.skip("mayfly was built without Ruby: apt install ruby ruby-dev")
    if SANITIZED:
        pytest.skip("Ruby scans stacks and moves objects in ways that AddressSanitizer refuses")
