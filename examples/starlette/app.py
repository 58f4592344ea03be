"""A Starlette application: lifespan, streams in both directions."""
import contextlib
import hashlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


@contextlib.asynccontextmanager
async def lifespan(app):
    """Runs in each worker, ahead of its request: what is opened here is this process' own."""
    yield {"greeting": "ready"}


async def index(request):
    return JSONResponse({"state": request.state.greeting, "path": request.url.path})


async def digest(request):
    """However large the body is, a piece of it is in memory at a time."""
    sha, size = hashlib.sha256(), 0
    async for piece in request.stream():
        sha.update(piece)
        size += len(piece)
    return JSONResponse({"bytes": size, "sha256": sha.hexdigest()})


async def download(request):
    async def pieces():
        for _ in range(request.path_params["mb"]):
            yield b"x" * (1 << 20)

    return StreamingResponse(pieces(), media_type="application/octet-stream")


app = Starlette(lifespan=lifespan, routes=[
    Route("/", index),
    Route("/digest", digest, methods=["POST"]),
    Route("/download/{mb:int}", download),
])
