"""The one data path: bytes to messages, messages to timelines, timelines to bytes.

    bytes ── Reader ── Message ── Dispatch ─┬─ repeat   the same bytes came before: claim known, answer compiled
                                            ├─ compiled an answer like it was given before: claim anew, answer compiled
                                            ├─ played   anything else: a Timeline, by the Player, each frame at its time
                                            ├─ waiting  the store is shared: decided in a task, then played
                                            ├─ relayed  an upstream answers
                                            └─ control  the Starlette app answers, by AsgiAnswer

All but the last take one claim of the store, and leave one exchange in the journal.

How a request is answered at once. A connection hands what it received to `Dispatch.repeat` when it rests: the bytes
of a request that came before find its claim, the store grants it, and what was granted finds a compiled answer
(`routed_request`). Nothing is read or understood anew. Bytes are kept so when they come again: what
comes once is not. `core.answer.compiled` makes these: an answer is rendered once with marks for the time, the numbers
and the draws, which become holes; it is kept only where, filled, it gives to the byte what is rendered. Its cache finds
one by all that an answer depends on, so that requests that differ share it.

How it is answered anew. The Reader gathers a Message, `Dispatch` finds session and provider by its head, the engine
claims, the store grants, the engine answers with a Timeline, and the Player writes it. Both ways share the claim, the
grant and the rendering; the first leaves out what it would find out again, and the journal renders its exchange when
it is read.

Connections answer one message at a time and in order. What a connection asks of an answer that is under way, and an
answer of its connection, stands in `connection`, and there too what has reached the other side.
"""
