"""A FastAPI application: checked input, server-sent events, a WebSocket."""
import asyncio
import json

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI(title="Orders")


class Order(BaseModel):
    item: str
    count: int = Field(gt=0, le=100)
    price: float = 1.5


@app.post("/orders")
async def order(order: Order):
    return {"item": order.item, "total": order.count * order.price}


@app.get("/events")
async def events(n: int = 3):
    async def ticks():
        for i in range(n):
            yield f"event: tick\ndata: {json.dumps({'n': i})}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(ticks(), media_type="text/event-stream")


@app.websocket("/chat/{name}")
async def chat(socket: WebSocket, name: str):
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"{name}: {await socket.receive_text()}")
    except WebSocketDisconnect:
        print("left:", name)
