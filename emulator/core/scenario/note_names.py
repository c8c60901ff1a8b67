"""The names of what is noted of exchanges, and found in sessions, beside the facts of providers."""

#: Notes of what a scripted reply says that its request did not ask for.
NOT_OFFERED = "emulator:call-not-offered"
ARGUMENTS_BREAK = "emulator:arguments-break-schema"
TEXT_BREAKS = "emulator:text-breaks-schema"
CALL_LEFT_OUT = "emulator:call-left-out"
MISFITS = (NOT_OFFERED, ARGUMENTS_BREAK, TEXT_BREAKS, CALL_LEFT_OUT)
#: The path of the note that an error of chaos took an answer's place.
CHAOS_ERROR = "chaos.error"
#: What the verdict asks of a client at every provider.
MANNERS = ("no-vain-retry", "bounded-attempts", "retry-after", "cut-stream", "stalled-stream", "valid-requests")
