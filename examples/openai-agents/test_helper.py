import asyncio

from helper import answer


def test_a_429_on_the_way_is_waited_for(emulator, emulator_env, emulator_time):
    emulator.on(tool_result={"absent": True}).reply(tool_calls=[{"name": "get_weather", "arguments": {"city": "Oslo"}}])
    route = emulator.on(tool_result={"name": "get_weather"})
    route.reply(error="rate_limited", retry_after=30).reply("It is 21 degrees in Oslo.")
    assert asyncio.run(answer("How warm is it in Oslo?")) == "It is 21 degrees in Oslo."
    emulator.verify(count=3, operation="responses")
    emulator.assert_well_behaved()
