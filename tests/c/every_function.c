/* every_function MODEL: calls each function of moe.h once at least, as a program would. MODEL has a tokenizer and a chat
 * template. */
#include "check.h"

#define MAX 256

static int32_t piece_count;
static int32_t on_piece(void* user, const char* text, int64_t length, const int32_t* ids, int64_t count) {
  (void)text, (void)ids;
  CHECK(length >= 0 && count >= 0 && user == &piece_count);
  piece_count += (int32_t)count;
  return 0;
}
static int32_t stop_at_once(void* user, const char* text, int64_t length, const int32_t* ids, int64_t count) {
  (void)user, (void)text, (void)length, (void)ids, (void)count;
  return 1;
}
static void host_pool(void* host, int64_t count, void* context, moe_task task) {
  int64_t i;
  *(int*)host += 1;
  for (i = count - 1; i >= 0; --i) task(context, i, 0); /* in an order of its own */
}
static void on_progress(void* user, int64_t done, int64_t total) { *(int*)user += done <= total; }
static int32_t never(void* user) { return user == NULL; }

static void library(void) {
  CHECK(strchr(moe_version(), '.') != NULL);
  CHECK(moe_abi_version() >= MOE_ABI_VERSION); /* built against an older header, too: c_frozen */
  CHECK(moe_numerics_version() >= 1);
  CHECK(moe_isa()[0] != '\0');
  CHECK(strcmp(moe_status_name(MOE_OK), "ok") == 0 && strcmp(moe_status_name(MOE_INTERNAL), "internal") == 0);
  CHECK(strcmp(moe_status_name(MOE_NON_FINITE), "non_finite") == 0 && moe_status_name(99)[0] == '\0');
}

static void model_calls(const char* path, moe_model* model) {
  static char json[65536], headers[65536];
  moe_error error;
  moe_dims dims;
  moe_work work;
  moe_memory memory;
  moe_model* other = NULL;
  int64_t length = 0;
  init_error(&error);
  memset(&dims, 0, sizeof dims);
  dims.struct_size = sizeof dims;
  OK(moe_model_dims(model, &dims, &error));
  CHECK(dims.has_tokenizer == 1 && dims.layer_count > 0 && dims.expert_count > 1 &&
        dims.vocab_size >= dims.token_count);
  OK(moe_model_info_json(model, json, sizeof json, &length, &error));
  CHECK(json[0] == '{' && (size_t)length == strlen(json) && strstr(json, "\"family\":\"qwen3_moe\"") != NULL);
  OK(moe_inspect_json(path, MOE_TEXT, headers, sizeof headers, &length, &error));
  CHECK(strstr(headers, "\"weight_bytes\"") != NULL && strstr(headers, "\"chat_templates\":[\"default\"]") != NULL);
  memset(&work, 0, sizeof work);
  work.struct_size = sizeof work;
  OK(moe_model_flops(model, 3, 5, 1, &work, &error));
  CHECK(work.total > 0 && work.tokens == 5 && work.head_tokens == 1);
  memset(&memory, 0, sizeof memory);
  memory.struct_size = sizeof memory;
  OK(moe_estimate_memory(path, MOE_TEXT, NULL, &memory, &error));
  CHECK(memory.weight_bytes == dims.weight_bytes && memory.cache_bytes > 0);
  OK(moe_model_with_top_k(model, 1, &other, &error));
  OK(moe_model_dims(other, &dims, &error));
  CHECK(dims.experts_per_token == 1);
  moe_model_retain(other);
  moe_model_release(other);
  OK(moe_model_dims(other, &dims, &error)); /* one owner is left */
  moe_model_release(other);
}

static int64_t token_calls(moe_model* model, int32_t* ids) {
  char text[MAX];
  const char* bytes = NULL;
  int64_t count = 0, length = 0;
  int32_t id = -1, is_stop = -1;
  moe_error error;
  init_error(&error);
  OK(moe_tokenize(model, "Hello", MOE_TEXT, MOE_TOKENIZE_ENDS, ids, MAX, &count, &error));
  CHECK(count > 0);
  OK(moe_detokenize(model, ids, count, 0, text, sizeof text, &length, &error));
  CHECK(length == 5 && strcmp(text, "Hello") == 0);
  OK(moe_token_bytes(model, ids[0], &bytes, &length, &error));
  CHECK(length > 0 && memcmp(bytes, "Hello", (size_t)length) == 0);
  OK(moe_token_find(model, "H", 1, &id, &error));
  CHECK(id >= 0);
  OK(moe_token_special(model, MOE_TOKEN_EOS, &id, &error));
  OK(moe_token_is_stop(model, id, &is_stop, &error));
  CHECK(is_stop == 1);
  return count;
}

static void chat_calls(moe_model* model) {
  static const char messages[] = "[{\"role\": \"user\", \"content\": \"Hello\"}]";
  char text[MAX];
  int32_t ids[MAX];
  int64_t length = 0, count = 0;
  moe_chat_options options;
  moe_error error;
  init_error(&error);
  OK(moe_chat_template(model, "", 0, text, sizeof text, &length, &error));
  CHECK(strstr(text, "messages") != NULL);
  OK(moe_chat_render(model, messages, MOE_TEXT, NULL, text, sizeof text, &length, &error));
  CHECK(strcmp(text, "Hello ") == 0);
  moe_chat_options_init(&options, sizeof options);
  options.template_text = "<{{ messages[0].content }}>{{ x }}";
  options.template_text_length = MOE_TEXT;
  options.variables = "{\"x\": 7}";
  options.variables_length = MOE_TEXT;
  OK(moe_chat_render(model, messages, MOE_TEXT, &options, text, sizeof text, &length, &error));
  CHECK(strcmp(text, "<Hello>7") == 0);
  OK(moe_chat_encode(model, messages, MOE_TEXT, NULL, ids, MAX, &count, &error));
  CHECK(count > 0);
}

static void sampling_calls(moe_session* session, const moe_logits_view* view, const int32_t* prompt, int64_t count) {
  moe_sampler_options options;
  moe_sampler* sampler = NULL;
  moe_logits* kept = NULL;
  int32_t id = -1, top_ids[2];
  double out[1], top[2];
  moe_error error;
  init_error(&error);
  OK(moe_session_logits_retain(session, &kept, &error));
  OK(moe_logprobs(view->values, view->vocab_size, view->token_count, prompt, 1, out, 2, top_ids, top, &error));
  CHECK(out[0] < 0 && top[0] >= top[1] && top[0] < 0);
  moe_sampler_options_init(&options, sizeof options);
  options.repetition_penalty = 1.1;
  OK(moe_sampler_create(&options, &sampler, &error));
  OK(moe_sampler_see_prompt(sampler, prompt, count, &error));
  OK(moe_sampler_next(sampler, view->values, view->token_count, &id, &error));
  CHECK(id >= 0 && id < view->token_count);
  moe_sampler_free(sampler);
  OK(moe_sampler_create(NULL, &sampler, &error)); /* greedy */
  OK(moe_sampler_next(sampler, view->values, view->token_count, &id, &error));
  CHECK(id == top_ids[0]);
  moe_sampler_free(sampler);
  moe_logits_release(kept);
}

static void session_calls(moe_session* session, const int32_t* prompt, int64_t count) {
  int64_t sequence = -1, branch = -1, length = -1, room = -1, room_before = -1;
  moe_batch_item item;
  moe_logits_view view;
  moe_work work;
  moe_memory memory;
  moe_error error;
  init_error(&error);
  OK(moe_session_free_tokens(session, &room_before, &error));
  OK(moe_session_open(session, &sequence, &error));
  moe_batch_item_init(&item, sizeof item);
  item.sequence = sequence;
  item.tokens = prompt;
  item.token_count = count;
  OK(moe_session_step(session, &item, 1, &error));
  memset(&view, 0, sizeof view);
  view.struct_size = sizeof view;
  OK(moe_session_logits(session, &view, &error));
  CHECK(view.row_count == 1 && view.values != NULL);
  sampling_calls(session, &view, prompt, count);
  OK(moe_session_fork(session, sequence, &branch, &error));
  OK(moe_session_rewind(session, branch, 1, &error));
  OK(moe_session_length(session, branch, &length, &error));
  CHECK(length == 1 && branch != sequence);
  moe_session_cancel(session);
  item.sequence = branch;
  FAILS(MOE_CANCELLED, "cancelled", moe_session_step(session, &item, 1, &error));
  FAILS(MOE_NOT_FOUND, "no logits", moe_session_logits(session, &view, &error));
  OK(moe_session_step(session, &item, 1, &error)); /* one cancellation ends one step */
  memset(&work, 0, sizeof work);
  work.struct_size = sizeof work;
  OK(moe_session_executed(session, &work, &error));
  CHECK(work.total > 0);
  memset(&memory, 0, sizeof memory);
  memory.struct_size = sizeof memory;
  OK(moe_session_memory(session, &memory, &error));
  CHECK(memory.cache_bytes > 0 && memory.scratch_bytes > 0);
  OK(moe_session_close(session, branch, &error));
  OK(moe_session_close(session, sequence, &error));
  OK(moe_session_free_tokens(session, &room, &error));
  CHECK(room == room_before);
}

static void reply_calls(moe_session* session, const int32_t* prompt, int64_t count) {
  static const char* const labels[] = {" yes", " no"};
  moe_generate_options options;
  moe_reply reply;
  char text[4096];
  int32_t ids[MAX], greedy[2] = {-1, -1};
  int64_t length = 0, written = 0, tokens[2] = {0, 0}, room = 0, room_after = 0;
  double scores[2] = {1, 1}, score = 1;
  moe_error error;
  init_error(&error);
  moe_generate_options_init(&options, sizeof options);
  options.max_tokens = 8;
  options.ignore_end_tokens = 1;
  options.on_piece = on_piece;
  options.user = &piece_count;
  memset(&reply, 0, sizeof reply);
  reply.struct_size = sizeof reply;
  OK(moe_generate(session, prompt, count, &options, &reply, &error));
  CHECK(reply.end == MOE_END_MAX_TOKENS && reply.stop == -1 && reply.token_count == 8 && piece_count == 8);
  OK(moe_reply_text(session, text, sizeof text, &length, &error));
  OK(moe_reply_tokens(session, ids, MAX, &written, &error));
  CHECK(length == reply.text_length && written == 8);
  options.on_piece = stop_at_once;
  OK(moe_generate(session, prompt, count, &options, &reply, &error));
  CHECK(reply.end == MOE_END_CANCELLED && reply.token_count < 8);
  options.on_piece = NULL;
  moe_session_cancel(session);
  OK(moe_generate(session, prompt, count, &options, &reply, &error));
  CHECK(reply.end == MOE_END_CANCELLED);
  OK(moe_generate(session, prompt, count, &options, &reply, &error));
  CHECK(reply.end == MOE_END_MAX_TOKENS);
  OK(moe_session_free_tokens(session, &room, &error));
  OK(moe_session_forget(session, &error));
  OK(moe_session_free_tokens(session, &room_after, &error));
  CHECK(room_after > room);
  OK(moe_score(session, "Is it?", MOE_TEXT, labels, NULL, 2, scores, greedy, tokens, &error));
  CHECK(scores[0] < 0 && scores[1] < 0 && (greedy[0] | 1) == 1 && tokens[1] > 0);
  OK(moe_score_text(session, "Hello there", MOE_TEXT, &score, &written, &error));
  CHECK(score < 0 && written > 1);
  moe_session_cancel(session);
  FAILS(MOE_CANCELLED, "cancelled", moe_score_text(session, "Hello there", MOE_TEXT, &score, &written, &error));
}

static void with_pool(const char* path, moe_pool* pool) {
  moe_load_options load;
  moe_session_options options;
  moe_model* model = NULL;
  moe_session* session = NULL;
  int32_t ids[MAX];
  int64_t count;
  int progress = 0;
  moe_error error;
  init_error(&error);
  moe_load_options_init(&load, sizeof load);
  load.pool = pool;
  load.on_progress = on_progress;
  load.cancelled = never;
  load.user = &progress;
  OK(moe_model_load(path, MOE_TEXT, &load, &model, &error));
  if (model == NULL) return;
  model_calls(path, model);
  count = token_calls(model, ids);
  chat_calls(model);
  moe_session_options_init(&options, sizeof options);
  options.pool = pool;
  options.on_progress = on_progress;
  options.user = &progress;
  OK(moe_session_create(model, &options, &session, &error));
  moe_pool_free(pool);
  moe_model_release(model); /* the session keeps it */
  session_calls(session, ids, count);
  reply_calls(session, ids, count);
  CHECK(progress > 0);
  moe_session_free(session);
}

int main(int argc, char** argv) {
  moe_error error;
  moe_pool* pool = NULL;
  int runs = 0;
  if (argc != 2) return 2;
  init_error(&error);
  library();
  OK(moe_pool_openmp(2, &pool, &error));
  with_pool(argv[1], pool);
  OK(moe_pool_host(host_pool, &runs, 2, &pool, &error));
  piece_count = 0;
  with_pool(argv[1], pool);
  CHECK(runs > 0);
  return finish("every_function");
}
