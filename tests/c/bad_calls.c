/* bad_calls MODEL: null handles, null pointers and values out of range come back as MOE_BAD_ARGUMENT, everywhere. */
#include "check.h"

#define BAD(names, call) FAILS(MOE_BAD_ARGUMENT, names, call)

static moe_error error;
static char text[64];
static int32_t ids[64], id;
static int64_t n;
static double d[2];

static void null_handles(void) {
  moe_model* model = NULL;
  moe_session* session = NULL;
  moe_sampler* sampler = NULL;
  moe_pool* pool = NULL;
  moe_logits* logits = NULL;
  moe_dims dims = {sizeof dims};
  moe_work work = {sizeof work};
  moe_memory memory = {sizeof memory};
  moe_logits_view view = {sizeof view};
  const char* bytes;
  BAD("model", moe_model_dims(NULL, &dims, &error));
  BAD("model", moe_model_info_json(NULL, text, sizeof text, &n, &error));
  BAD("model", moe_model_flops(NULL, 0, 1, 1, &work, &error));
  BAD("model", moe_model_with_top_k(NULL, 1, &model, &error));
  BAD("model", moe_tokenize(NULL, "a", 1, 0, ids, 64, &n, &error));
  BAD("model", moe_detokenize(NULL, ids, 1, 0, text, 64, &n, &error));
  BAD("model", moe_token_bytes(NULL, 0, &bytes, &n, &error));
  BAD("model", moe_token_find(NULL, "a", 1, &id, &error));
  BAD("model", moe_token_special(NULL, 0, &id, &error));
  BAD("model", moe_token_is_stop(NULL, 0, &id, &error));
  BAD("model", moe_chat_template(NULL, "", 0, text, 64, &n, &error));
  BAD("model", moe_chat_render(NULL, "[]", 2, NULL, text, 64, &n, &error));
  BAD("model", moe_chat_encode(NULL, "[]", 2, NULL, ids, 64, &n, &error));
  BAD("model", moe_session_create(NULL, NULL, &session, &error));
  BAD("session", moe_session_open(NULL, &n, &error));
  BAD("session", moe_session_fork(NULL, 0, &n, &error));
  BAD("session", moe_session_rewind(NULL, 0, 0, &error));
  BAD("session", moe_session_close(NULL, 0, &error));
  BAD("session", moe_session_length(NULL, 0, &n, &error));
  BAD("session", moe_session_free_tokens(NULL, &n, &error));
  BAD("session", moe_session_step(NULL, NULL, 0, &error));
  BAD("session", moe_session_executed(NULL, &work, &error));
  BAD("session", moe_session_memory(NULL, &memory, &error));
  BAD("session", moe_session_logits(NULL, &view, &error));
  BAD("session", moe_session_logits_retain(NULL, &logits, &error));
  BAD("session", moe_generate(NULL, ids, 1, NULL, NULL, &error));
  BAD("session", moe_reply_text(NULL, text, 64, &n, &error));
  BAD("session", moe_reply_tokens(NULL, ids, 64, &n, &error));
  BAD("session", moe_session_forget(NULL, &error));
  BAD("session", moe_score(NULL, "a", 1, NULL, NULL, 0, d, NULL, NULL, &error));
  BAD("session", moe_score_text(NULL, "a", 1, d, &n, &error));
  BAD("sampler", moe_sampler_see_prompt(NULL, ids, 1, &error));
  BAD("sampler", moe_sampler_next(NULL, NULL, 0, &id, &error));
  moe_session_cancel(NULL);
  moe_model_retain(NULL);
  moe_model_release(model);
  moe_session_free(session);
  moe_sampler_free(sampler);
  moe_pool_free(pool);
  moe_logits_release(logits);
  moe_error_init(NULL, sizeof error);
  moe_load_options_init(NULL, 8);
  CHECK(moe_session_open(NULL, NULL, NULL) == MOE_BAD_ARGUMENT); /* the error may be null, too */
}

static void outside(void) {
  moe_model* model = NULL;
  moe_pool* pool = NULL;
  moe_sampler* sampler = NULL;
  moe_load_options load;
  moe_sampler_options sampling;
  BAD("threads", moe_pool_openmp(-1, &pool, &error));
  BAD("threads", moe_pool_openmp(1 << 20, &pool, &error));
  BAD("pool", moe_pool_openmp(1, NULL, &error));
  BAD("run", moe_pool_host(NULL, NULL, 1, &pool, &error));
  BAD("path", moe_model_load(NULL, MOE_TEXT, NULL, &model, &error));
  BAD("path", moe_model_load("", 0, NULL, &model, &error));
  BAD("path", moe_model_load("a\0b", 3, NULL, &model, &error));
  BAD("length", moe_model_load("a", -2, NULL, &model, &error));
  BAD("model", moe_model_load("a", 1, NULL, NULL, &error));
  FAILS(MOE_NOT_FOUND, "/nowhere", moe_model_load("/nowhere", MOE_TEXT, NULL, &model, &error));
  FAILS(MOE_NOT_FOUND, "/nowhere", moe_inspect_json("/nowhere", MOE_TEXT, NULL, 0, &n, &error));
  moe_load_options_init(&load, sizeof load);
  load.tokenizer = 3;
  BAD("tokenizer", moe_model_load("a", 1, &load, &model, &error));
  moe_sampler_options_init(&sampling, sizeof sampling);
  sampling.temperature = -1;
  BAD("temperature", moe_sampler_create(&sampling, &sampler, &error));
  sampling.temperature = 0;
  sampling.bias_count = 1;
  BAD("bias_tokens", moe_sampler_create(&sampling, &sampler, &error));
  sampling.bias_count = -1;
  BAD("bias_tokens", moe_sampler_create(&sampling, &sampler, &error));
  CHECK(model == NULL && pool == NULL && sampler == NULL);
}

static void of_model(moe_model* model) {
  moe_work work = {sizeof work};
  moe_chat_options chat;
  const char* bytes;
  float row[2] = {0, 1};
  BAD("ids", moe_tokenize(model, "a", 1, 0, NULL, 4, &n, &error));
  BAD("text", moe_tokenize(model, NULL, 1, 0, ids, 4, &n, &error));
  BAD("flags", moe_tokenize(model, "a", 1, 8, ids, 4, &n, &error));
  BAD("length", moe_tokenize(model, "a", 1, 0, ids, 4, NULL, &error));
  BAD("capacity", moe_tokenize(model, "a", 1, 0, ids, -1, &n, &error));
  FAILS(MOE_BAD_SHAPE, "capacity", moe_tokenize(model, "Hello", MOE_TEXT, 0, ids, 1, &n, &error));
  CHECK(n > 1);
  OK(moe_tokenize(model, "Hello", MOE_TEXT, 0, NULL, 0, &n, &error)); /* the number alone */
  OK(moe_tokenize(model, NULL, 0, 0, ids, 64, &n, &error));
  CHECK(n == 0);
  ids[0] = -1;
  BAD("-1", moe_detokenize(model, ids, 1, 0, text, 64, &n, &error));
  BAD("number of ids", moe_detokenize(model, ids, -1, 0, text, 64, &n, &error));
  BAD("-1", moe_token_bytes(model, -1, &bytes, &n, &error));
  BAD("token is", moe_token_is_stop(model, 1 << 30, &id, &error));
  BAD("which", moe_token_special(model, 2, &id, &error));
  FAILS(MOE_NOT_FOUND, "no token", moe_token_find(model, "no such token", MOE_TEXT, &id, &error));
  BAD("cached", moe_model_flops(model, -1, 1, 1, &work, &error));
  BAD("cached", moe_model_flops(model, 0, INT64_MAX, 1, &work, &error));
  BAD("rows", moe_model_flops(model, 0, 1, 2, &work, &error));
  FAILS(MOE_NOT_FOUND, "no_such", moe_chat_template(model, "no_such", MOE_TEXT, text, 64, &n, &error));
  BAD("messages", moe_chat_render(model, "{", 1, NULL, text, 64, &n, &error));
  moe_chat_options_init(&chat, sizeof chat);
  chat.end = 3;
  BAD("end", moe_chat_render(model, "[]", 2, &chat, text, 64, &n, &error));
  FAILS(MOE_BAD_CONFIG, "top_k", moe_model_with_top_k(model, 0, &model, &error));
  BAD("row", moe_logprobs(NULL, 2, 2, NULL, 0, NULL, 0, NULL, NULL, &error));
  BAD("token_count", moe_logprobs(row, 2, 3, NULL, 0, NULL, 0, NULL, NULL, &error));
  id = 2;
  BAD("an id", moe_logprobs(row, 2, 2, &id, 1, d, 0, NULL, NULL, &error));
  BAD("top_count", moe_logprobs(row, 2, 2, NULL, 0, NULL, 3, ids, d, &error));
  row[1] = 1e38f * 1e38f;
  FAILS(MOE_NON_FINITE, "logit", moe_logprobs(row, 2, 2, NULL, 0, NULL, 0, NULL, NULL, &error));
}

static int32_t call_in(void* user, const char* t, int64_t length, const int32_t* tokens, int64_t count) {
  moe_error inner;
  init_error(&inner);
  (void)t, (void)length, (void)tokens, (void)count;
  CHECK(moe_session_free_tokens((moe_session*)user, &n, &inner) == MOE_BAD_ARGUMENT);
  CHECK(strstr(inner.message, "in use") != NULL);
  return 0;
}

static void of_session(moe_session* session) {
  moe_batch_item item;
  moe_generate_options options;
  const char* labels[1] = {NULL};
  int64_t sequence = -1;
  moe_batch_item_init(&item, sizeof item);
  BAD("items", moe_session_step(session, NULL, 1, &error));
  BAD("items", moe_session_step(session, &item, -1, &error));
  BAD("sequence", moe_session_step(session, &item, 1, &error)); /* none is open */
  OK(moe_session_open(session, &sequence, &error));
  item.sequence = sequence;
  item.token_count = 1;
  BAD("tokens", moe_session_step(session, &item, 1, &error));
  ids[0] = 1 << 30;
  item.tokens = ids;
  BAD("token 0", moe_session_step(session, &item, 1, &error));
  ids[0] = 1;
  item.logits = 7;
  BAD("logits", moe_session_step(session, &item, 1, &error));
  BAD("sequence", moe_session_rewind(session, -1, 0, &error));
  BAD("sequence", moe_session_close(session, INT64_MAX, &error));
  BAD("", moe_session_rewind(session, sequence, 5, &error));
  FAILS(MOE_NOT_FOUND, "no reply", moe_reply_text(session, text, 64, &n, &error));
  BAD("prompt", moe_generate(session, NULL, 1, NULL, NULL, &error));
  BAD("", moe_generate(session, NULL, 0, NULL, NULL, &error));
  moe_generate_options_init(&options, sizeof options);
  options.ignore_end_tokens = 2;
  BAD("ignore_end_tokens", moe_generate(session, ids, 1, &options, NULL, &error));
  options.ignore_end_tokens = 0;
  options.stops = labels;
  options.stop_count = 1;
  BAD("stops", moe_generate(session, ids, 1, &options, NULL, &error));
  options.stop_count = 0;
  options.max_tokens = 2;
  options.on_piece = call_in;
  options.user = session;
  OK(moe_generate(session, ids, 1, &options, NULL, &error));
  BAD("continuations", moe_score(session, "a", 1, labels, NULL, 1, d, NULL, NULL, &error));
  labels[0] = "b";
  BAD("log_likelihoods", moe_score(session, "a", 1, labels, NULL, 1, NULL, NULL, NULL, &error));
  BAD("token_count", moe_score_text(session, "a", 1, d, NULL, &error));
}

int main(int argc, char** argv) {
  moe_model* model = NULL;
  moe_session* session = NULL;
  moe_session_options options;
  if (argc != 2) return 2;
  init_error(&error);
  null_handles();
  outside();
  OK(moe_model_load(argv[1], MOE_TEXT, NULL, &model, &error));
  of_model(model);
  moe_session_options_init(&options, sizeof options);
  options.kv = MOE_KV_Q8_0 + 1;
  BAD("kv", moe_session_create(model, &options, &session, &error));
  options.kv = MOE_KV_Q8_0;
  OK(moe_session_create(model, &options, &session, &error));
  moe_session_free(session);
  options.kv = MOE_KV_F32;
  options.chunk_tokens = 0;
  BAD("chunk_tokens", moe_session_create(model, &options, &session, &error));
  moe_session_options_init(&options, sizeof options);
  options.checkpoint_tokens = 0;
  BAD("checkpoint_tokens", moe_session_create(model, &options, &session, &error));
  options.checkpoint_tokens = 1;
  options.state_bytes = -1;
  BAD("state_bytes", moe_session_create(model, &options, &session, &error));
  OK(moe_session_create(model, NULL, &session, &error));
  of_session(session);
  moe_session_free(session);
  moe_model_release(model);
  return finish("bad_calls");
}
