#ifndef MOE_H
#define MOE_H
/* libmoe from C: load a model, compute logits, sample, generate, score. Link with -lmoe_c (docs/C.md).
 *
 * Status    Calls that can fail return a moe_status, MOE_OK or one of the codes below, and describe the failure in the
 *           caller's moe_error, which may be null. Nothing throws, prints or exits, and there is no global error state.
 *           Output parameters are valid after MOE_OK only. A null handle, or a null pointer where one is needed, is
 *           MOE_BAD_ARGUMENT.
 * Structs   are passed by pointer and start with struct_size. The function NAME_init(struct, sizeof *struct) fills one
 *           with defaults; change fields after it. Later versions add fields at the end only, so programs and libraries
 *           of different versions work together: fields that the program does not know have their defaults, and fields
 *           that the library does not know must be zero. A null pointer to options means defaults.
 *           Result structs (moe_dims, moe_work, ..) need struct_size as well; the end of a larger one is
 *           zeroed.
 * Text      in: a pointer and a length in bytes, or MOE_TEXT (-1) for a text that ends with a zero byte. A pointer may
 *           be null where the length is 0.
 *           out: the caller's buffer, its capacity in bytes, and *length, the bytes of the text. The text is written
 *           when capacity is larger than the length, followed by a zero byte. Capacity 0 asks for the length alone
 *           and is MOE_OK; any other capacity that is too small is MOE_BAD_SHAPE. *length is set in all these cases.
 * Lists     out (ids): the same without the zero byte: they are written when the capacity, a number of elements, is at
 *           least *count.
 * Ids       of tokens are int32_t, from 0; other numbers are int64_t.
 * Threads   A model may be used by any number of threads at a time, a session and a sampler by one thread at a time.
 *           A session that is in use returns MOE_BAD_ARGUMENT to calls from other threads and from callbacks.
 *           moe_session_cancel may be called at any time by any thread and by a signal handler. Different sessions of
 *           one model run in parallel.
 * Callbacks run in the thread that is inside the call, except for a host pool's tasks. They must return: no longjmp
 *           and no exceptions.
 * Lifetime  What was created must be freed, in any order: a session keeps its model alive. Free functions accept null.
 * Processes A child after fork() must not use objects for which an OpenMP pool has run.
 * Bits      Results are those of the C++ interface: they depend on the model, the precision and the cache type, never
 *           on threads, batches, reused prefixes, or the processor.
 *
 * The server (moe::serve) is not part of this library: it needs C++ and Boost.
 */
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MOE_C_API __attribute__((visibility("default")))
#else
#define MOE_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows by one with each addition to this file; existing entries never change. moe_abi_version() is the library's. */
#define MOE_ABI_VERSION 2

/* Length of a text that ends with a zero byte. */
#define MOE_TEXT (-1)

/* ---- Status ---------------------------------------------------------------------------------------------------- */

typedef int32_t moe_status;

#define MOE_OK 0
#define MOE_BAD_FILE 1      /* a model or tokenizer file breaks its format */
#define MOE_BAD_CONFIG 2    /* hyperparameters that contradict each other or are out of range */
#define MOE_BAD_SHAPE 3     /* a buffer that is too small, or a tensor whose shape is not the declared one */
#define MOE_BAD_ARGUMENT 4  /* a value of the caller is outside its range, or a null pointer */
#define MOE_UNSUPPORTED 5   /* well-formed, but libmoe does not know it (architecture, format, tokenizer) */
#define MOE_NOT_FOUND 6     /* a file, token or template that must exist does not */
#define MOE_IO 7            /* the operating system refused or a file ended early */
#define MOE_OUT_OF_MEMORY 8 /* an allocation failed or the given budget is too small */
#define MOE_CANCELLED 9     /* the host asked to stop */
#define MOE_NON_FINITE 10   /* NaN or infinity where a number belongs */
#define MOE_INTERNAL 11     /* a bug in libmoe */

/* What went wrong, in one line of UTF-8 that names the item, what was found and what was expected. Every call sets the
 * one it is given: code MOE_OK and an empty message after a success. */
typedef struct moe_error {
  uint32_t struct_size;
  int32_t code;       /* the moe_status that was returned */
  char message[1016]; /* ends with a zero byte; longer messages are cut between characters */
} moe_error;

/* Opaque handles. */
typedef struct moe_pool moe_pool;
typedef struct moe_model moe_model;
typedef struct moe_session moe_session;
typedef struct moe_logits moe_logits;
typedef struct moe_sampler moe_sampler;

/* ---- Library --------------------------------------------------------------------------------------------------- */

/* "0.1.0" */
MOE_C_API const char* moe_version(void);
/* MOE_ABI_VERSION of the loaded library. If it is less than the header's, newer functions are missing. */
MOE_C_API int32_t moe_abi_version(void);
/* Version of the numerics contract (docs/NUMERICS.md): equal versions compute equal bits. */
MOE_C_API int32_t moe_numerics_version(void);
/* The instruction set that new sessions use: "scalar", "avx2", "avx512", "avx512vnni", "amx", "neon". Empty when
 * the environment variable MOE_ISA names one that cannot run here; then moe_session_create fails. */
MOE_C_API const char* moe_isa(void);
/* "ok", "bad_file", ..; empty for any other number. */
MOE_C_API const char* moe_status_name(moe_status status);
MOE_C_API void moe_error_init(moe_error* error, size_t struct_size);

/* ---- Pools ----------------------------------------------------------------------------------------------------- */

/* A task of a pool: task(context, index, worker) is called for every index. */
typedef void (*moe_task)(void* context, int64_t index, int32_t worker);
/* Runs the task for every index from 0 to count - 1 and returns when all are done. `worker`, from 0 to worker_count - 1,
 * is unique among the tasks that run concurrently. */
typedef void (*moe_parallel_for)(void* host, int64_t count, void* context, moe_task task);

/* OpenMP threads. threads: 1 to 1024; 0 for MOE_THREADS or, where it is not set, the processors that this process may
 * use. Each thread that computes has a team of its own. Errors: MOE_BAD_ARGUMENT; MOE_IO when the system does not start
 * that many threads. */
MOE_C_API moe_status moe_pool_openmp(int64_t threads, moe_pool** pool, moe_error* error);
/* The host's own threads. run and host must live as long as what was made with the pool. */
MOE_C_API moe_status moe_pool_host(moe_parallel_for run, void* host, int64_t worker_count, moe_pool** pool,
                                   moe_error* error);
/* At any time: sessions created with the pool keep working. */
MOE_C_API void moe_pool_free(moe_pool* pool);

/* ---- Model ----------------------------------------------------------------------------------------------------- */

/* Bytes, tokens or layers done so far, out of total. */
typedef void (*moe_on_progress)(void* user, int64_t done, int64_t total);
/* Not 0: stop. Called often, so it should be fast. */
typedef int32_t (*moe_is_cancelled)(void* user);

/* moe_load_options.tokenizer: what to do with a model that has no usable tokenizer */
#define MOE_TOKENIZER_REQUIRED 0 /* fail; the error says why */
#define MOE_TOKENIZER_OPTIONAL 1 /* load it for use with token ids */
#define MOE_TOKENIZER_NONE 2     /* do not read the tokenizer */

typedef struct moe_load_options {
  uint32_t struct_size;
  int32_t tokenizer;           /* MOE_TOKENIZER_...; default: required */
  const moe_pool* pool;        /* null: the calling thread alone */
  moe_on_progress on_progress; /* bytes; may be null */
  moe_is_cancelled cancelled;  /* may be null; ends with MOE_CANCELLED */
  void* user;                  /* handed to both callbacks */
} moe_load_options;
MOE_C_API void moe_load_options_init(moe_load_options* options, size_t struct_size);

/* path: a .gguf file, a directory that holds one, or a Hugging Face directory. Free it with moe_model_release.
 * Errors: MOE_NOT_FOUND, MOE_BAD_FILE, MOE_BAD_CONFIG, MOE_UNSUPPORTED, MOE_IO, MOE_OUT_OF_MEMORY, MOE_CANCELLED. */
MOE_C_API moe_status moe_model_load(const char* path, int64_t path_length, const moe_load_options* options,
                                    moe_model** model, moe_error* error);
/* Adds a reference: each moe_model_retain needs its own moe_model_release. Accepts null. */
MOE_C_API void moe_model_retain(moe_model* model);
MOE_C_API void moe_model_release(moe_model* model);

/* The same weights, with another number of routed experts per token, in all MoE layers. Errors: MOE_BAD_CONFIG when it
 * is out of range or the model is dense. */
MOE_C_API moe_status moe_model_with_top_k(const moe_model* model, int64_t top_k, moe_model** out, moe_error* error);

/* What the model is, as a JSON object: family, sizes, experts, parameters, formats, notes, names of its chat templates,
 * whether its tokenizer is usable, and the metadata of its files. Its keys are those of `moe-inspect --json`; more may
 * be added. */
MOE_C_API moe_status moe_model_info_json(const moe_model* model, char* json, int64_t capacity, int64_t* length,
                                         moe_error* error);
/* The same for a file or directory; only headers are read. Errors: those of moe_model_load. */
MOE_C_API moe_status moe_inspect_json(const char* path, int64_t path_length, char* json, int64_t capacity,
                                      int64_t* length, moe_error* error);

typedef struct moe_dims {
  uint32_t struct_size;
  int32_t has_tokenizer; /* 1 or 0 */
  int64_t layer_count;
  int64_t hidden_size;
  int64_t vocab_size;   /* V: logits per row */
  int64_t token_count;  /* rows with a token; V without a tokenizer */
  int64_t max_position; /* tokens of the longest sequence */
  int64_t expert_count; /* per MoE layer; 0: the model is dense */
  int64_t experts_per_token;
  int64_t total_parameters;
  int64_t weight_bytes;   /* as stored in the file */
  int64_t touched_bytes;  /* of those, read when decoding one token */
  int64_t resident_bytes; /* of the weights in memory */
} moe_dims;
MOE_C_API moe_status moe_model_dims(const moe_model* model, moe_dims* dims, moe_error* error);

/* Exact work in FLOPs, 2 per multiply-add. Norms, softmax and activations are not counted. */
typedef struct moe_work {
  uint32_t struct_size;
  int32_t reserved; /* 0 */
  int64_t total;    /* the sum of the next eight, of convolutions and states of recurrent layers, of an indexer's
                    * scores of keys, and of the input of a multi-token-prediction layer */
  int64_t attention_projection;
  int64_t attention_score;
  int64_t attention_value;
  int64_t router;
  int64_t routed_experts;
  int64_t shared_experts;
  int64_t dense_ffn;
  int64_t head;
  int64_t tokens;      /* run through the layers */
  int64_t head_tokens; /* whose logits were computed */
} moe_work;
/* The work of new_tokens tokens after cached_tokens ones of a sequence, with logits of logit_rows of them: the same
 * numbers that moe_session_executed counts. Errors: MOE_BAD_ARGUMENT (negative, or more tokens than max_position). */
MOE_C_API moe_status moe_model_flops(const moe_model* model, int64_t cached_tokens, int64_t new_tokens,
                                     int64_t logit_rows, moe_work* work, moe_error* error);

/* ---- Tokens (a model without a tokenizer: MOE_UNSUPPORTED) ------------------------------------------------------- */

/* moe_tokenize: flags, added up */
#define MOE_TOKENIZE_ENDS 1  /* add BOS and EOS, each if the model uses it */
#define MOE_TOKENIZE_PLAIN 2 /* "<|im_end|>" and the like are ordinary text */
/* Text to ids; invalid UTF-8 becomes U+FFFD. Errors: MOE_BAD_ARGUMENT (limits of the pattern, a token without a
 * row in the model). */
MOE_C_API moe_status moe_tokenize(const moe_model* model, const char* text, int64_t text_length, int32_t flags,
                                  int32_t* ids, int64_t capacity, int64_t* count, moe_error* error);

/* moe_detokenize: flags, added up */
#define MOE_DETOKENIZE_HIDE_SPECIAL 1 /* without "<|im_end|>" and the like */
#define MOE_DETOKENIZE_CONTINUE 2     /* the ids continue a text: keep the leading space that SentencePiece adds */
/* Ids to bytes; a single id may be part of a character. Errors: MOE_BAD_ARGUMENT naming the id out of range. */
MOE_C_API moe_status moe_detokenize(const moe_model* model, const int32_t* ids, int64_t count, int32_t flags,
                                    char* text, int64_t capacity, int64_t* length, moe_error* error);

/* The bytes of one token, valid as long as the model. They do not end with a zero byte. */
MOE_C_API moe_status moe_token_bytes(const moe_model* model, int32_t id, const char** bytes, int64_t* length,
                                     moe_error* error);
/* The id of the token with this text in the vocabulary, or MOE_NOT_FOUND. */
MOE_C_API moe_status moe_token_find(const moe_model* model, const char* text, int64_t text_length, int32_t* id,
                                    moe_error* error);
/* moe_token_special: which */
#define MOE_TOKEN_BOS 0
#define MOE_TOKEN_EOS 1
/* MOE_NOT_FOUND when the model has none. */
MOE_C_API moe_status moe_token_special(const moe_model* model, int32_t which, int32_t* id, moe_error* error);
/* *is_stop: 1 for a token that ends a reply, else 0. */
MOE_C_API moe_status moe_token_is_stop(const moe_model* model, int32_t id, int32_t* is_stop, moe_error* error);

/* ---- Chat ------------------------------------------------------------------------------------------------------ */

/* moe_chat_options.end: how the text ends */
#define MOE_CHAT_REPLY 0      /* with the beginning of a reply, so that the model writes one */
#define MOE_CHAT_MESSAGE 1    /* after the last message */
#define MOE_CHAT_UNFINISHED 2 /* inside the last message, which the model continues */

/* Each text is followed by its length; null or empty: not given. */
typedef struct moe_chat_options {
  uint32_t struct_size;
  int32_t end; /* MOE_CHAT_... */
  const char*
      template_name; /* one of the model's; empty: "tool_use" where there are tools and it exists, or "default" */
  int64_t template_name_length;
  const char* template_text; /* Jinja, instead of the model's own */
  int64_t template_text_length;
  const char* tools; /* JSON: a list of function schemas */
  int64_t tools_length;
  const char* documents; /* JSON: a list of objects */
  int64_t documents_length;
  const char* variables; /* JSON: an object with more variables for the template: {"enable_thinking": false} */
  int64_t variables_length;
  const char* date; /* the time that the template sees: "2026-11-27" or "2026-11-27T14:05:00"; empty: now */
  int64_t date_length;
} moe_chat_options;
MOE_C_API void moe_chat_options_init(moe_chat_options* options, size_t struct_size);

/* The text of one of the model's templates; an empty name is "default". MOE_NOT_FOUND when it does not exist. */
MOE_C_API moe_status moe_chat_template(const moe_model* model, const char* name, int64_t name_length, char* text,
                                       int64_t capacity, int64_t* length, moe_error* error);
/* A conversation as the text that the model was trained on. messages: JSON, a list of objects,
 * [{"role": "user", "content": "Hello"}]. Needs no tokenizer.
 * Errors: MOE_NOT_FOUND (no template), MOE_UNSUPPORTED (it uses what libmoe lacks), MOE_BAD_FILE (it does not compile),
 * MOE_BAD_ARGUMENT (it refuses the conversation, or an option is wrong). */
MOE_C_API moe_status moe_chat_render(const moe_model* model, const char* messages, int64_t messages_length,
                                     const moe_chat_options* options, char* text, int64_t capacity, int64_t* length,
                                     moe_error* error);
/* The same as token ids, for a step or moe_generate. Control tokens spelled out in a message are plain text; only the
 * template writes control tokens. Errors: as above, and MOE_UNSUPPORTED without a tokenizer. */
MOE_C_API moe_status moe_chat_encode(const moe_model* model, const char* messages, int64_t messages_length,
                                     const moe_chat_options* options, int32_t* ids, int64_t capacity, int64_t* count,
                                     moe_error* error);

/* ---- Session: many sequences over one model, with their cache ---------------------------------------------------- */

#define MOE_PRECISION_AUTO 0      /* int8 activations against integer formats, float32 against float formats */
#define MOE_PRECISION_REFERENCE 1 /* float32 against the widened weights */

#define MOE_KV_F32 0
#define MOE_KV_F16 1
#define MOE_KV_BF16 2
#define MOE_KV_Q8_0 3 /* since MOE_ABI_VERSION 2: int8, a scale for each 32 values; MLA's rotated key part is f16 */

typedef struct moe_session_options {
  uint32_t struct_size;
  int32_t precision;    /* MOE_PRECISION_...; default: auto */
  int64_t kv;           /* MOE_KV_..., the number type of the cache; default: f16 */
  int64_t max_tokens;   /* cached over all sequences, shared prefixes once; default 0: the model's max_position */
  int64_t chunk_tokens; /* computed at a time, 1 to 16384: affects speed and memory, never results; default 512 */
  const moe_pool* pool; /* null: the calling thread alone */
  moe_on_progress on_progress; /* tokens of a step; may be null */
  moe_is_cancelled cancelled;  /* called between layers; may be null */
  void* user;                  /* handed to both callbacks */
  /* Since MOE_ABI_VERSION 2, for models with recurrent layers (hybrids). Neither changes results. */
  int64_t state_bytes; /* for their states; beyond it the least recently used are computed again; default 0: 1 GiB */
  int64_t
      checkpoint_tokens; /* a state is kept at every multiple, from which rewinds continue; 1 and more; default 256 */
} moe_session_options;
MOE_C_API void moe_session_options_init(moe_session_options* options, size_t struct_size);

/* Errors: MOE_BAD_ARGUMENT, MOE_OUT_OF_MEMORY, MOE_UNSUPPORTED (MOE_ISA). */
MOE_C_API moe_status moe_session_create(const moe_model* model, const moe_session_options* options,
                                        moe_session** session, moe_error* error);
/* Retained logits stay valid. Must not be called from a callback of the session. */
MOE_C_API void moe_session_free(moe_session* session);

/* A new empty sequence. */
MOE_C_API moe_status moe_session_open(moe_session* session, int64_t* sequence, moe_error* error);
/* A new sequence that starts with all tokens of the parent; the cache is shared, not copied. */
MOE_C_API moe_status moe_session_fork(moe_session* session, int64_t parent, int64_t* sequence, moe_error* error);
/* Drops the last tokens so that `length` remain. Hybrids continue from the last state that is kept before it: the next
 * step computes what is between again, and moe_session_executed counts it. */
MOE_C_API moe_status moe_session_rewind(moe_session* session, int64_t sequence, int64_t length, moe_error* error);
MOE_C_API moe_status moe_session_close(moe_session* session, int64_t sequence, moe_error* error);
MOE_C_API moe_status moe_session_length(moe_session* session, int64_t sequence, int64_t* length, moe_error* error);
/* Free room of the cache, in tokens. It is allocated in pages of 64. */
MOE_C_API moe_status moe_session_free_tokens(moe_session* session, int64_t* tokens, moe_error* error);

/* moe_batch_item.logits: for which of its tokens */
#define MOE_LOGITS_NONE 0
#define MOE_LOGITS_LAST 1
#define MOE_LOGITS_ALL 2

/* Tokens to append to one sequence. A sequence may appear once in a batch. */
typedef struct moe_batch_item {
  uint32_t struct_size; /* the same in all items of a batch */
  int32_t logits;       /* MOE_LOGITS_...; default: last */
  int64_t sequence;
  const int32_t* tokens; /* [token_count] */
  int64_t token_count;
} moe_batch_item;
MOE_C_API void moe_batch_item_init(moe_batch_item* item, size_t struct_size);

/* Appends the tokens and computes the logits asked for. On an error every sequence is as before the call, and there are
 * no logits. Errors: MOE_BAD_ARGUMENT (a sequence, a token id, a sequence twice, more than max_position tokens),
 * MOE_OUT_OF_MEMORY (the cache is full), MOE_CANCELLED, MOE_NON_FINITE. */
MOE_C_API moe_status moe_session_step(moe_session* session, const moe_batch_item* items, int64_t item_count,
                                      moe_error* error);
/* Cancels the step, generation or score that is running, or else the next one; repeated calls before it returns count
 * once. A cancelled generation returns its text with MOE_OK, the others return MOE_CANCELLED. One atomic store: may be
 * called by any thread and by a signal handler, at any time before moe_session_free. Accepts null. */
MOE_C_API void moe_session_cancel(moe_session* session);

/* Work since the session was created, counted where kernels are called. */
MOE_C_API moe_status moe_session_executed(moe_session* session, moe_work* work, moe_error* error);

typedef struct moe_memory {
  uint32_t struct_size;
  int32_t reserved; /* 0 */
  int64_t weight_bytes;
  int64_t cache_bytes;
  int64_t scratch_bytes;
  int64_t state_bytes; /* since MOE_ABI_VERSION 2: most that recurrent states take between steps */
} moe_memory;
MOE_C_API moe_status moe_session_memory(moe_session* session, moe_memory* memory, moe_error* error);
/* Memory of loading this model and creating a session, from headers alone. Errors: those of moe_model_load. */
MOE_C_API moe_status moe_estimate_memory(const char* path, int64_t path_length, const moe_session_options* options,
                                         moe_memory* memory, moe_error* error);

/* ---- Results of a step ------------------------------------------------------------------------------------------ */

typedef struct moe_logits_view {
  uint32_t struct_size;
  int32_t reserved;    /* 0 */
  const float* values; /* [row_count, vocab_size], rows in the order of the batch */
  int64_t row_count;
  int64_t vocab_size;  /* V */
  int64_t token_count; /* rows with a token: choose the next token among these */
} moe_logits_view;
/* The logits of the last step, not copied: valid until the next step, generation or score of this session.
 * Errors: MOE_NOT_FOUND when there are none: no step yet, the last one failed, or a generation or score came after it. */
MOE_C_API moe_status moe_session_logits(moe_session* session, moe_logits_view* view, moe_error* error);
/* Keeps them: the pointers of the view stay valid, with unchanged values, until moe_logits_release, whatever the
 * session does, even after it is freed. */
MOE_C_API moe_status moe_session_logits_retain(moe_session* session, moe_logits** logits, moe_error* error);
MOE_C_API void moe_logits_release(moe_logits* logits);

/* Natural logarithms of probabilities, in double, normalised over all of one row, as docs/NUMERICS.md defines them.
 *   row           [vocab_size]     of a view
 *   ids           [id_count]       each from 0 to vocab_size - 1; null when id_count is 0
 *   out           [id_count]       of those ids
 *   top_ids, top  [top_count]      the best of the first token_count ids, falling, equal ones by rising id; at most 1000
 * Any thread. Errors: MOE_BAD_ARGUMENT; MOE_NON_FINITE when a logit is NaN or infinite. */
MOE_C_API moe_status moe_logprobs(const float* row, int64_t vocab_size, int64_t token_count, const int32_t* ids,
                                  int64_t id_count, double* out, int64_t top_count, int32_t* top_ids, double* top,
                                  moe_error* error);

/* ---- Sampling: one sampler per sequence -------------------------------------------------------------------------- */

/* First the logits change: repetition, frequency and presence penalty, biases. Then the filters run: temperature, top-k,
 * top-p, min-p. The defaults are greedy. */
typedef struct moe_sampler_options {
  uint32_t struct_size;
  int32_t reserved;          /* 0 */
  double temperature;        /* 0: greedy, the first maximum */
  int64_t top_k;             /* 0: all */
  double top_p;              /* 1: all */
  double min_p;              /* 0: all */
  double repetition_penalty; /* 1: none */
  double frequency_penalty;
  double presence_penalty;
  uint64_t seed;
  const int32_t* bias_tokens; /* [bias_count] */
  const double* biases;       /* [bias_count], added to their logits */
  int64_t bias_count;
} moe_sampler_options;
MOE_C_API void moe_sampler_options_init(moe_sampler_options* options, size_t struct_size);

/* Errors: MOE_BAD_ARGUMENT, naming the setting. */
MOE_C_API moe_status moe_sampler_create(const moe_sampler_options* options, moe_sampler** sampler, moe_error* error);
/* The tokens before the reply, for the repetition penalty. */
MOE_C_API moe_status moe_sampler_see_prompt(moe_sampler* sampler, const int32_t* ids, int64_t count, moe_error* error);
/* The next token of the reply from its logits, [count]. Errors: MOE_NON_FINITE for NaN, +infinity, or nothing but
 * -infinity. */
MOE_C_API moe_status moe_sampler_next(moe_sampler* sampler, const float* logits, int64_t count, int32_t* id,
                                      moe_error* error);
MOE_C_API void moe_sampler_free(moe_sampler* sampler);

/* ---- Replies ---------------------------------------------------------------------------------------------------- */

/* A piece of a reply while it is written: text in whole characters (invalid UTF-8 becomes U+FFFD), and the tokens since
 * the last piece, whose text may come with a later one. The pointers are valid during the call. Not 0: stop. */
typedef int32_t (*moe_on_piece)(void* user, const char* text, int64_t text_length, const int32_t* ids, int64_t count);

typedef struct moe_generate_options {
  uint32_t struct_size;
  int32_t ignore_end_tokens;           /* 1: the model's own end tokens do not end the reply */
  int64_t max_tokens;                  /* default 256; 0: as many as fit the context and the cache */
  const moe_sampler_options* sampling; /* null: greedy */
  const char* const* stops;            /* [stop_count] texts that end the reply; not part of it */
  const int64_t* stop_lengths;         /* [stop_count]; null: all end with a zero byte */
  int64_t stop_count;
  const int32_t* stop_tokens; /* [stop_token_count] further end tokens */
  int64_t stop_token_count;
  int64_t show_special;  /* 1: control tokens, "<|im_end|>" and the like, are part of the text */
  moe_on_piece on_piece; /* called for each token; may be null */
  void* user;            /* handed to on_piece */
} moe_generate_options;
MOE_C_API void moe_generate_options_init(moe_generate_options* options, size_t struct_size);

/* moe_reply.end: why a reply ends */
#define MOE_END_TOKEN 0      /* an end token */
#define MOE_END_STOP 1       /* a stop text */
#define MOE_END_MAX_TOKENS 2 /* max_tokens, or the end of the context or of the cache */
#define MOE_END_CANCELLED 3  /* on_piece, moe_session_cancel or the session's `cancelled` */

typedef struct moe_reply {
  uint32_t struct_size;
  int32_t end;         /* MOE_END_... */
  int64_t stop;        /* which of the stop texts ended it; else -1 */
  int64_t token_count; /* written, the end token included: see moe_reply_tokens */
  int64_t text_length; /* bytes: see moe_reply_text */
  int64_t prompt_tokens;
  int64_t reused_tokens; /* of the prompt, found in the cache */
  int64_t flops;         /* executed for this reply, exact */
  double prompt_seconds; /* until the first token */
  double reply_seconds;  /* from there to the last one */
} moe_reply;

/* Writes a reply to a prompt of token ids (moe_tokenize with MOE_TOKENIZE_ENDS, or moe_chat_encode). Keys and values
 * stay in the session's cache: a prompt that begins with an earlier prompt and its reply costs only its new tokens.
 * moe_session_forget frees that room; the caller's own sequences are not touched. reply may be null.
 * Errors: MOE_BAD_ARGUMENT (no tokens, more than context or cache hold, an id out of range, an option),
 * MOE_NON_FINITE, MOE_OUT_OF_MEMORY. */
MOE_C_API moe_status moe_generate(moe_session* session, const int32_t* prompt, int64_t prompt_count,
                                  const moe_generate_options* options, moe_reply* reply, moe_error* error);
/* The last reply of this session, without the stop text. Errors: MOE_NOT_FOUND when there is none. */
MOE_C_API moe_status moe_reply_text(moe_session* session, char* text, int64_t capacity, int64_t* length,
                                    moe_error* error);
MOE_C_API moe_status moe_reply_tokens(moe_session* session, int32_t* ids, int64_t capacity, int64_t* count,
                                      moe_error* error);
/* Frees what moe_generate keeps in the cache. */
MOE_C_API moe_status moe_session_forget(moe_session* session, moe_error* error);

/* ---- Scores ------------------------------------------------------------------------------------------------------ */

/* log p(continuation | context) of each continuation. White space at the end of the context belongs to the continuation;
 * the two are encoded as one text and split after the context's tokens (docs/EVALUATION.md).
 *   continuations   [count]   texts
 *   lengths         [count]   their bytes; null: all end with a zero byte
 *   log_likelihoods [count]   natural logarithms, summed over the tokens
 *   is_greedy       [count]   1: greedy decoding would choose it; may be null
 *   token_counts    [count]   scored tokens; may be null
 * Errors: MOE_BAD_ARGUMENT, naming what is too long or empty; MOE_UNSUPPORTED without a tokenizer; MOE_NON_FINITE,
 * MOE_OUT_OF_MEMORY, MOE_CANCELLED. */
MOE_C_API moe_status moe_score(moe_session* session, const char* context, int64_t context_length,
                               const char* const* continuations, const int64_t* lengths, int64_t count,
                               double* log_likelihoods, int32_t* is_greedy, int64_t* token_counts, moe_error* error);
/* Every token of the text after BOS (else EOS), in windows of the model's context. The perplexity is
 * exp(-*log_likelihood / *token_count). Errors: as above; MOE_UNSUPPORTED without BOS and EOS. */
MOE_C_API moe_status moe_score_text(moe_session* session, const char* text, int64_t text_length, double* log_likelihood,
                                    int64_t* token_count, moe_error* error);

#ifdef __cplusplus
}
#endif

#endif /* MOE_H */
