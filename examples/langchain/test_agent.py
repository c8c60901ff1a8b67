from agent import answer


def test_the_answer_rests_on_the_tool(emulator, emulator_env):
    emulator.on(tool_result={"absent": True}).reply(tool_calls=[{"name": "get_weather", "arguments": {"city": "Oslo"}}])
    emulator.on(tool_result={"name": "get_weather"}).reply("It is 21 degrees in Oslo.")
    assert answer("How warm is it in Oslo?") == "It is 21 degrees in Oslo."
    emulator.verify(count=1, tool_result={"content": "Oslo: 21 degrees"})


def test_the_built_in_model_calls_the_tool_that_is_offered(emulator, emulator_env):
    assert answer("What is the weather in Oslo?")
    emulator.verify(count=1, tool_result={"name": "get_weather"})
