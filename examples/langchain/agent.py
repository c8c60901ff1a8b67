"""An agent that asks a tool and answers from what it says."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city}: 21 degrees"


def answer(question: str) -> str:
    """Answer a question; tools are asked as often as the model wants."""
    model = ChatOpenAI(model="gpt-4o").bind_tools([get_weather])
    messages = [HumanMessage(question)]
    while True:
        reply = model.invoke(messages)
        messages.append(reply)
        if not reply.tool_calls:
            return str(reply.content)
        messages += [
            ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in reply.tool_calls
        ]
