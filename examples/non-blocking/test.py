import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("target, operations", [("/sync", 2), ("/async", 1), ("/async_functions", 1)])
def test_operations(mayfly, target, operations):
    daemon = mayfly(HERE, "--env", "OPERATION_SECONDS=1")
    daemon.get(target + "?a=0&b=0")  # loads what has to be loaded
    output = daemon.get(target).json()["output"]
    assert list(output) == ["addition", "elapsed_time", "multiply"]
    assert (output["addition"], output["multiply"]) == (9, 20)
    assert operations <= output["elapsed_time"] < operations + 0.9


def test_parameters(mayfly):
    daemon = mayfly(HERE, "--env", "OPERATION_SECONDS=0")
    for target in ("/sync", "/async", "/async_functions"):
        output = daemon.get(target + "?a=6&b=-7").json()["output"]
        assert (output["addition"], output["multiply"]) == (-1, -42)
        assert daemon.get(target + "?a=six").status == 400
