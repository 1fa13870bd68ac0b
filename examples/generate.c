/* Continues a text, always taking the most likely token, and shows it while it is written.
 *   generate MODEL [PROMPT]       MODEL: a .gguf file or a Hugging Face directory */
#include <moe.h>
#include <stdio.h>

static int32_t show(void* user, const char* text, int64_t length, const int32_t* ids, int64_t count) {
  (void)user, (void)ids, (void)count;
  fwrite(text, 1, (size_t)length, stdout);
  return fflush(stdout) != 0; /* not 0: stop */
}

int main(int argc, char** argv) {
  moe_error error;
  moe_load_options load;
  moe_session_options options;
  moe_generate_options generate;
  moe_pool* pool = NULL;
  moe_model* model = NULL;
  moe_session* session = NULL;
  int32_t ids[1024];
  int64_t count = 0;
  int ok;

  if (argc < 2 || argc > 3) return fprintf(stderr, "usage: generate MODEL [PROMPT]\n"), 2;
  moe_error_init(&error, sizeof error);
  moe_load_options_init(&load, sizeof load);
  moe_session_options_init(&options, sizeof options);
  moe_generate_options_init(&generate, sizeof generate);
  generate.max_tokens = 16;
  generate.on_piece = show;
  /* Work runs in this thread and in the pool's; without a pool, in this thread alone. */
  ok = moe_pool_openmp(0, &pool, &error) == MOE_OK;
  load.pool = options.pool = pool;
  ok = ok && moe_model_load(argv[1], MOE_TEXT, &load, &model, &error) == MOE_OK &&
       moe_session_create(model, &options, &session, &error) == MOE_OK &&
       moe_tokenize(model, argc > 2 ? argv[2] : "The capital of France is", MOE_TEXT, MOE_TOKENIZE_ENDS, ids, 1024,
                    &count, &error) == MOE_OK &&
       moe_generate(session, ids, count, &generate, NULL, &error) == MOE_OK;
  if (!ok) fprintf(stderr, "generate: %s\n", error.message);
  moe_session_free(session);
  moe_model_release(model);
  moe_pool_free(pool);
  if (ok && (putchar('\n') == EOF || fflush(stdout) != 0)) return fprintf(stderr, "generate: cannot write\n"), 1;
  return ok ? 0 : 1;
}
