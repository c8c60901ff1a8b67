"""A golden record of what the emulator answers: the gate of a change after which users see the same.

Inputs are made in code, and given to the outermost doors alone: HTTP over a socket, the control API, the `emulator`
command, the pytest fixture. So nothing here has to change when modules move. `record.txt` has a digest of each answer,
as the rules of `normal` leave it; sessions have a virtual clock that begins at NOON and a fixed seed.

    python -m tests.golden                 write the record anew; tells which cases changed
    python -m tests.golden --check         only tell
    python -m tests.golden --show ID       print what a case answers now (ID may be the beginning of several)
    python -m tests.golden --dump FOLDER   write what each case answers into a file, to be compared with another commit

connection  a raw HTTP client         recorded  a server, a session of it, and an exchange as it is recorded
asks      what clients send            replies   what scenarios say
answers, sessions, control, outside    the groups of cases
normal    what varies, and is left out record    digests, the file, what differs
"""
