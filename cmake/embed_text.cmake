# cmake -DFILE=... -DNAME=... -DOUTPUT=... -P embed_text.cmake: a text file as `const char NAME[]` in a .cpp of its own.
file(READ ${FILE} text)
get_filename_component(file ${FILE} NAME)
file(WRITE ${OUTPUT} "// Made from ${file} by embed_text.cmake; edit that file.\nextern const char ${NAME}[];\nconst char ${NAME}[] = R\"embedded_text(${text})embedded_text\";\n")
