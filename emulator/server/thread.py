"""The name of the thread that a server of ours runs in."""

SERVER_THREAD = "emulator-server"
