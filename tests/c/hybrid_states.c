/* hybrid_states MODEL: the options of recurrent states, of a model that has them. */
#include "check.h"

enum { kTokens = 60, kKept = 50 };

static moe_error error;

/* Logits of the last of kTokens after a rewind to kKept, and how many tokens that took. */
static int64_t rewound(const moe_model* model, const moe_session_options* options, const int32_t* ids, float* logits,
                       int64_t vocab_size) {
  moe_session* session = NULL;
  moe_batch_item item;
  moe_logits_view view = {sizeof view};
  moe_work work = {sizeof work};
  OK(moe_session_create(model, options, &session, &error));
  moe_batch_item_init(&item, sizeof item);
  OK(moe_session_open(session, &item.sequence, &error));
  item.tokens = ids;
  item.token_count = kTokens;
  OK(moe_session_step(session, &item, 1, &error));
  OK(moe_session_rewind(session, item.sequence, kKept, &error));
  item.tokens = ids + kKept;
  item.token_count = kTokens - kKept;
  OK(moe_session_step(session, &item, 1, &error));
  OK(moe_session_logits(session, &view, &error));
  CHECK(view.vocab_size == vocab_size && view.row_count == 1);
  memcpy(logits, view.values, (size_t)vocab_size * sizeof *logits);
  OK(moe_session_executed(session, &work, &error));
  moe_session_free(session);
  return work.tokens;
}

static int64_t estimated(const char* path, int64_t state_bytes) {
  moe_session_options options;
  moe_memory memory = {sizeof memory};
  moe_session_options_init(&options, sizeof options);
  options.state_bytes = state_bytes;
  OK(moe_estimate_memory(path, MOE_TEXT, &options, &memory, &error));
  return memory.state_bytes;
}

int main(int argc, char** argv) {
  static float logits[3][4096];
  moe_model* model = NULL;
  moe_load_options load;
  moe_session_options options;
  moe_dims dims = {sizeof dims};
  int32_t ids[kTokens];
  int i;
  if (argc != 2) return 2;
  init_error(&error);
  moe_load_options_init(&load, sizeof load);
  load.tokenizer = MOE_TOKENIZER_NONE;
  OK(moe_model_load(argv[1], MOE_TEXT, &load, &model, &error));
  OK(moe_model_dims(model, &dims, &error));
  CHECK(dims.vocab_size <= 4096);
  for (i = 0; i < kTokens; ++i) ids[i] = (int32_t)((7919 * i + 13) % dims.vocab_size);
  moe_session_options_init(&options, sizeof options);
  CHECK(options.state_bytes == 0 && options.checkpoint_tokens == 256);
  CHECK(rewound(model, &options, ids, logits[0], dims.vocab_size) == kTokens + kKept + kTokens - kKept);
  options.checkpoint_tokens = 16; /* the last state before 50 is at 48 */
  CHECK(rewound(model, &options, ids, logits[1], dims.vocab_size) == kTokens + 2 + kTokens - kKept);
  /* A program of 1.0, whose struct ends before the new fields. */
  options.struct_size = (uint32_t)((const char*)&options.state_bytes - (const char*)&options);
  options.state_bytes = options.checkpoint_tokens = -1;
  CHECK(rewound(model, &options, ids, logits[2], dims.vocab_size) == kTokens + kKept + kTokens - kKept);
  for (i = 1; i < 3; ++i) CHECK(memcmp(logits[0], logits[i], (size_t)dims.vocab_size * sizeof(float)) == 0);
  CHECK(estimated(argv[1], 0) > estimated(argv[1], 1) && estimated(argv[1], 1) > 0);
  moe_model_release(model);
  return finish("hybrid_states");
}
