import pytest

from lib.daemon import BUILD, SANITIZED


@pytest.fixture(autouse=True)
def php_is_there():
    if not (BUILD / "lib/php/mayfly-php").exists():
        pytest.skip("mayfly was built without PHP: apt install php-dev libphp-embed")
    if SANITIZED:
        pytest.skip("PHP's library is built without sanitizers")
