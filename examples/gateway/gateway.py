"""A gateway in twenty lines: it passes requests on to an upstream, under one key of its own."""

import os

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def passed_on(request: Request) -> Response:
    headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    async with httpx2.AsyncClient(base_url=os.environ["UPSTREAM"], trust_env=False) as client:
        url = f"{request.url.path.removeprefix('/v1')}?{request.url.query}".rstrip("?")
        answer = await client.request(request.method, url, headers=headers, content=await request.body(), timeout=60)
    kept = {
        name: value for name, value in answer.headers.items() if name not in ("content-length", "transfer-encoding")
    }
    return Response(answer.content, answer.status_code, kept)


app = Starlette(routes=[Route("/v1/{path:path}", passed_on, methods=["GET", "POST", "DELETE"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8080")), log_level="warning")
