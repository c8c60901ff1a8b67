"""An endpoint that passes a model's text on, piece by piece."""

from collections.abc import AsyncIterator

import openai
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/ask")
async def ask(question: str) -> StreamingResponse:
    """Answer a question with a text; one that broke off says so at its end."""
    return StreamingResponse(_text(question), media_type="text/plain")


async def _text(question: str) -> AsyncIterator[str]:
    messages = [{"role": "user", "content": question}]
    finished = False
    try:
        async with openai.AsyncOpenAI() as client:
            stream = await client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
            async for chunk in stream:
                for choice in chunk.choices:
                    finished = finished or choice.finish_reason is not None
                    yield choice.delta.content or ""
    except openai.APIError:
        finished = False
    if not finished:  # a stream that ends cleanly without a finish reason is cut as well, and raises nothing
        yield "\n[the answer broke off]"
