# What Doxygen reads of moe.h: its plain comments, as documentation. No line is added or moved.
s|^/\* libmoe from C: |/** @file moe.h @brief libmoe from C: |
s|^/\* ---.*||
s|^/\* |/** |
s|\([;0-9)]\)  */\* |\1 /**< |
