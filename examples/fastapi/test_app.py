import pytest
from app import app
from fastapi.testclient import TestClient


@pytest.fixture
def client(emulator_env):
    return TestClient(app)


def test_the_text_arrives(emulator, client):
    emulator.on(last_user="Who?").reply("Ada Lovelace.")
    assert client.get("/ask", params={"question": "Who?"}).text == "Ada Lovelace."
    emulator.assert_well_behaved()


@pytest.mark.parametrize("how", ["reset", "fin", "clean"])
def test_a_text_that_breaks_off_says_so(emulator, client, how):
    emulator.on().reply("One two three four.", faults=[{"cut": {"after_chunks": 3, "how": how}}])
    assert client.get("/ask", params={"question": "Count."}).text == "One two\n[the answer broke off]"


def test_an_outage_is_no_traceback(emulator, client, emulator_time):
    emulator.on().reply(error="server_error")
    assert client.get("/ask", params={"question": "Who?"}).text == "\n[the answer broke off]"
