# What Doxygen reads of a header. No line is added or moved.
# What the header says in its first comment becomes the description of the file.
1s|^#pragma once$|/// @file|
2,/^$/s|^// |/// |
# The inline namespace is for the linker; its name is a macro, which Doxygen cannot follow.
s|moe::inline MOE_ABI|moe|
# <name> in a comment stands for a name; it is no tag of HTML.
\|//|s|<\([a-z_]*\)>|\\<\1\\>|g
