#pragma once
// Ctrl-C: the first one asks a program to stop, and its unfinished files are removed.

namespace cli {

/// From now on Ctrl-C, SIGTERM and hangup (SIGHUP) ask the program to stop. A second signal, at least half a second
/// later, ends it at once; half-written files are removed in both cases. (`timeout` sends the signal twice at a time.)
void catch_interrupts();

/// For LoadOptions::cancelled, SessionOptions::cancelled and similar callbacks.
bool interrupted();

/// For chats, where Ctrl-C ends a reply and not the program: true if there was only Ctrl-C; interrupted() is then false
/// again. SIGTERM and SIGHUP are never forgotten.
bool forget_ctrl_c();

/// For programs that shut down in their own way: interrupted() is false again, and the exit status is that of the work.
void take_interrupt_as_request();

}  // namespace cli
