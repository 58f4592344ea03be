import pytest

from lib.daemon import BUILD, SANITIZED


@pytest.fixture(autouse=True)
def perl_is_there():
    if not (BUILD / "lib/perl/mayfly-perl").exists():
        pytest.skip("mayfly was built without Perl: apt install libperl-dev")
    if SANITIZED:
        pytest.skip("Perl leaks and jumps in ways that AddressSanitizer refuses")
