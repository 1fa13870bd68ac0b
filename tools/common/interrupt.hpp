#pragma once
// Ctrl-C: the first one asks a program to stop, and what it was writing is removed.

namespace cli {

/// From now on Ctrl-C, SIGTERM and the end of the terminal ask the program to stop. Once more, half a second later or
/// more, ends it at once; half-written files are removed then as well. (`timeout` sends the signal twice at a time.)
void catch_interrupts();

/// For LoadOptions::cancelled, SessionOptions::cancelled and their like.
bool interrupted();

/// For a conversation, in which Ctrl-C ends a reply and not the program: true when it was Ctrl-C alone that asked, and
/// interrupted() is false again. SIGTERM and the end of the terminal are never forgotten.
bool forget_ctrl_c();

/// For a program that ends in its own order when it is asked to: interrupted() is false again, and the exit status that of
/// what it did.
void take_interrupt_as_request();

}  // namespace cli
