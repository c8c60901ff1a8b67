"""An agent of the OpenAI Agents SDK, on the Responses API."""

from agents import Agent, Runner, function_tool, set_tracing_disabled

set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city}: 21 degrees"


async def answer(question: str) -> str:
    agent = Agent(name="Weather", instructions="You know the weather.", model="gpt-4o", tools=[get_weather])
    result = await Runner.run(agent, question)
    return str(result.final_output)
