/* struct_sizes MODEL: programs built against an older moe.h (shorter structs) and a newer one (longer structs). */
#include <stddef.h>

#include "check.h"

/* As a later moe.h may have them. */
struct longer_options {
  moe_generate_options known;
  int64_t later[2];
};
struct longer_dims {
  moe_dims known;
  int64_t later[2];
};

static moe_error error;

static void shorter(moe_model* model, moe_session* session, const int32_t* prompt, int64_t count) {
  moe_generate_options options;
  moe_reply reply;
  moe_dims dims;
  unsigned char* tail = (unsigned char*)&options + 16;
  size_t i;
  /* Two fields: behind them is memory that is not the struct's. */
  memset(&options, 0xAA, sizeof options);
  moe_generate_options_init(&options, 16);
  CHECK(options.struct_size == 16 && options.max_tokens == 256);
  for (i = 0; i < sizeof options - 16; ++i) CHECK(tail[i] == 0xAA);
  options.max_tokens = 3;
  options.ignore_end_tokens = 1;
  memset(&reply, 0xAA, sizeof reply);
  reply.struct_size = 24;
  OK(moe_generate(session, prompt, count, &options, &reply, &error));
  CHECK(reply.struct_size == 24 && reply.end == MOE_END_MAX_TOKENS && reply.token_count == 3);
  CHECK(((unsigned char*)&reply)[32] == 0xAA);
  memset(&dims, 0xAA, sizeof dims);
  dims.struct_size = offsetof(moe_dims, vocab_size);
  OK(moe_model_dims(model, &dims, &error));
  CHECK(dims.hidden_size > 0 && dims.hidden_size < 1 << 20 && ((unsigned char*)&dims.vocab_size)[0] == 0xAA);
}

static void longer(moe_model* model, moe_session* session, const int32_t* prompt, int64_t count) {
  struct longer_options options;
  struct longer_dims dims;
  moe_reply reply = {sizeof reply};
  memset(&options, 0xAA, sizeof options);
  moe_generate_options_init(&options.known, sizeof options);
  CHECK(options.known.struct_size == sizeof options && options.later[0] == 0 && options.later[1] == 0);
  options.known.max_tokens = 3;
  options.known.ignore_end_tokens = 1;
  OK(moe_generate(session, prompt, count, &options.known, &reply, &error));
  CHECK(reply.token_count == 3);
  options.later[1] = 1; /* asks for what this library does not know */
  FAILS(MOE_BAD_ARGUMENT, "does not know", moe_generate(session, prompt, count, &options.known, &reply, &error));
  memset(&dims, 0xAA, sizeof dims);
  dims.known.struct_size = sizeof dims;
  OK(moe_model_dims(model, &dims.known, &error));
  CHECK(dims.known.vocab_size > 0 && dims.later[0] == 0 && dims.later[1] == 0);
}

static void unusable(moe_model* model) {
  static const uint32_t sizes[] = {0, 4, 7, 12, 4104, 0xFFFFFFF8u};
  moe_dims dims;
  moe_load_options load;
  moe_model* other = NULL;
  size_t i;
  memset(&load, 0, sizeof load);
  for (i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    dims.struct_size = load.struct_size = sizes[i];
    FAILS(MOE_BAD_ARGUMENT, "moe_dims.struct_size", moe_model_dims(model, &dims, &error));
    FAILS(MOE_BAD_ARGUMENT, "moe_load_options.struct_size", moe_model_load("a", 1, &load, &other, &error));
  }
}

static void items(moe_session* session, const int32_t* prompt) {
  /* A batch of items that are longer than ours: their own size says where the next one is. */
  struct {
    moe_batch_item known;
    int64_t later;
  } batch[2];
  moe_logits_view view = {sizeof view};
  int i;
  for (i = 0; i < 2; ++i) {
    moe_batch_item_init(&batch[i].known, sizeof batch[i]);
    OK(moe_session_open(session, &batch[i].known.sequence, &error));
    batch[i].known.tokens = prompt;
    batch[i].known.token_count = 1;
  }
  OK(moe_session_step(session, &batch[0].known, 2, &error));
  OK(moe_session_logits(session, &view, &error));
  CHECK(view.row_count == 2);
  CHECK(memcmp(view.values, view.values + view.vocab_size, (size_t)view.vocab_size * sizeof(float)) == 0);
  batch[1].known.struct_size = sizeof(moe_batch_item);
  FAILS(MOE_BAD_ARGUMENT, "item 1", moe_session_step(session, &batch[0].known, 2, &error));
}

static void errors(void) {
  moe_error small;
  memset(&small, 0xAA, sizeof small);
  moe_error_init(&small, 24);
  CHECK(moe_session_open(NULL, NULL, &small) == MOE_BAD_ARGUMENT);
  CHECK(small.code == MOE_BAD_ARGUMENT && strcmp(small.message, "session is null") == 0);
  moe_error_init(&small, 16);
  CHECK(moe_session_open(NULL, NULL, &small) == MOE_BAD_ARGUMENT && strcmp(small.message, "session") == 0);
  small.struct_size = 0; /* never initialised: left alone */
  small.code = 77;
  CHECK(moe_session_open(NULL, NULL, &small) == MOE_BAD_ARGUMENT && small.code == 77);
}

int main(int argc, char** argv) {
  moe_model* model = NULL;
  moe_session* session = NULL;
  int32_t ids[16];
  int64_t count = 0;
  if (argc != 2) return 2;
  CHECK(moe_abi_version() == MOE_ABI_VERSION);
  init_error(&error);
  OK(moe_model_load(argv[1], MOE_TEXT, NULL, &model, &error));
  OK(moe_tokenize(model, "Hello", MOE_TEXT, 0, ids, 16, &count, &error));
  OK(moe_session_create(model, NULL, &session, &error));
  shorter(model, session, ids, count);
  longer(model, session, ids, count);
  unusable(model);
  items(session, ids);
  errors();
  moe_session_free(session);
  moe_model_release(model);
  return finish("struct_sizes");
}
