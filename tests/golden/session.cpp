// What a host sees of a Session: errors that name the item, nothing changed after an error, limits, cancel, progress.

#include <atomic>
#include <set>
#include <thread>

#include "golden/golden.hpp"

namespace session_test {

namespace {

using namespace moe_test;

/// The first loadable golden model with room for a key block; the committed ones have it.
std::shared_ptr<const moe::Model> any_model() {
  std::vector<GoldenCase> cases = golden_cases();
  for (GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden"))
    cases.push_back(std::move(c));
  for (const GoldenCase& c : cases)
    if (auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
        model && (*model)->config().max_position >= 64)
      return *model;
  FAIL("no loadable golden model");
  return nullptr;
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("step refuses what is out of range, and the sequence is as before") {
  const auto model = any_model();
  auto session = open_session(model, reference_options());
  const moe::Sequence s = *session->open();
  const std::vector<moe::TokenId> good(5, 1);
  const std::vector<float> before = step(*session, s, good);

  const std::vector<moe::TokenId> bad = {1, 2, static_cast<moe::TokenId>(model->config().vocab_size)}, negative = {-1};
  for (const auto& ids : {bad, negative}) {
    const moe::BatchItem item = {s, ids, moe::Logits::last};
    const auto out = session->step({&item, 1});
    REQUIRE_FALSE(out.has_value());
    CHECK(out.error().code == moe::ErrorCode::bad_argument);
    CHECK(mentions(out.error().message, std::to_string(ids.back())));
    CHECK(*session->length(s) == 5);
  }
  const moe::BatchItem twice[] = {{s, good, moe::Logits::last}, {s, good, moe::Logits::last}};
  CHECK(session->step(twice).error().code == moe::ErrorCode::bad_argument);
  const moe::BatchItem unknown = {77, good, moe::Logits::last};
  CHECK(session->step({&unknown, 1}).error().code == moe::ErrorCode::bad_argument);
  const moe::BatchItem some = {s, good, moe::Logits::all};
  const auto unread = session->step({&some, 1}, [](std::int64_t, std::span<const float>) -> moe::Result<void> {
    return moe::fail(moe::ErrorCode::bad_argument, "a row that nobody wants");
  });
  REQUIRE_FALSE(unread.has_value());
  CHECK(unread.error().message == "a row that nobody wants");
  CHECK(*session->length(s) == 5);
  const std::vector<moe::TokenId> endless(static_cast<std::size_t>(model->config().max_position) + 1, 1);
  const moe::BatchItem too_long = {s, endless, moe::Logits::last};
  CHECK(session->step({&too_long, 1}).error().code == moe::ErrorCode::bad_argument);

  CHECK_FALSE(session->rewind(s, 6).has_value());
  CHECK_FALSE(session->rewind(s, -1).has_value());
  REQUIRE(session->rewind(s, 0).has_value());
  CHECK(same_bits(step(*session, s, good), before));
  REQUIRE(session->close(s).has_value());
  CHECK_FALSE(session->length(s).has_value());
  CHECK_FALSE(session->fork(s).has_value());
}

TEST_CASE("closing_frees counts the pages that nothing else holds, each once") {
  const auto model = any_model();
  moe::SessionOptions options = reference_options();
  options.max_tokens = 640;
  auto session = open_session(model, options);
  const auto frees = [&](std::vector<moe::Sequence> sequences) { return session->closing_frees(sequences); };
  const moe::Sequence a = *session->open();
  step(*session, a, std::vector<moe::TokenId>(70, 1));  // two pages
  CHECK(frees({a}) == 128);
  CHECK(frees({a, a}) == 128);
  CHECK(frees({}) == 0);
  CHECK(frees({77, -1}) == 0);
  const moe::Sequence b = *session->fork(a);
  CHECK(frees({a}) == 0);
  CHECK(frees({a, b}) == 128);
  CHECK(frees({a, a}) == 0);
  step(*session, b, std::vector<moe::TokenId>{2});  // its own copy of the second page
  CHECK(frees({a}) == 64);
  CHECK(frees({b}) == 64);
  CHECK(frees({b, a}) == 192);
  const std::int64_t before = session->free_tokens();
  REQUIRE(session->close(b).has_value());
  CHECK(session->free_tokens() - before == 64);
  CHECK(frees({a}) == 128);
}

TEST_CASE("a full cache is an error that names it, and room comes back when sequences close") {
  const auto model = any_model();
  moe::SessionOptions options = reference_options();
  options.max_tokens = 128;
  auto session = open_session(model, options);
  const std::vector<moe::TokenId> ids(64, 1);
  const moe::Sequence a = *session->open(), b = *session->open(), c = *session->open();
  const std::vector<float> first = step(*session, a, ids, moe::Logits::last);
  static_cast<void>(step(*session, b, ids, moe::Logits::last));
  CHECK(session->free_tokens() == 0);
  const moe::BatchItem item = {c, ids, moe::Logits::last};
  const auto full = session->step({&item, 1});
  REQUIRE_FALSE(full.has_value());
  CHECK(full.error().code == moe::ErrorCode::out_of_memory);
  CHECK(mentions(full.error().message, "cache is full: 0 of its 2 pages of 64 tokens are free, and the step needs 1"));
  CHECK(*session->length(c) == 0);
  // A fork shares the pages: it costs nothing until it grows.
  const moe::Sequence shared = *session->fork(a);
  CHECK(*session->length(shared) == 64);
  REQUIRE(session->close(b).has_value());
  CHECK(same_bits(step(*session, c, ids, moe::Logits::last), first));
}

TEST_CASE("a step takes exactly the pages it needs, or none") {
  const auto model = any_model();
  moe::SessionOptions options = reference_options();
  options.max_tokens = 4 * moe::kPageTokens;
  auto session = open_session(model, options);
  const std::vector<moe::TokenId> some(10, 1), one(1, 2);
  const auto batch_of = [&](const std::vector<moe::Sequence>& sequences) {
    std::vector<moe::BatchItem> items;
    for (const moe::Sequence s : sequences) items.push_back({s, one, moe::Logits::last});
    return items;
  };
  // A fork shares the partly filled page until it grows.
  const moe::Sequence parent = *session->open();
  static_cast<void>(step(*session, parent, some));
  std::vector<moe::Sequence> forks;
  for (int i = 0; i < 4; ++i) forks.push_back(*session->fork(parent));
  CHECK(session->free_tokens() == 3 * moe::kPageTokens);
  // Four copies beside the parent's page are one too many: no page is taken for any of them.
  const auto full = session->step(batch_of(forks));
  REQUIRE_FALSE(full.has_value());
  CHECK(full.error().code == moe::ErrorCode::out_of_memory);
  CHECK_MESSAGE(mentions(full.error().message, "3 of its 4 pages of 64 tokens are free, and the step needs 4"),
                full.error().message);
  CHECK(session->free_tokens() == 3 * moe::kPageTokens);
  for (const moe::Sequence s : forks) CHECK(*session->length(s) == 10);
  // Without the parent the last of them keeps its page.
  REQUIRE(session->close(parent).has_value());
  const auto fits = session->step(batch_of(forks));
  REQUIRE_MESSAGE(fits.has_value(), fits.error().message);
  CHECK(session->free_tokens() == 0);
  for (std::int64_t row = 1; row < 4; ++row) CHECK(same_bits(fits->row(row), fits->row(0)));
}

TEST_CASE("cancel and progress reach the host") {
  const auto model = any_model();
  moe::SessionOptions options = reference_options();
  options.chunk_tokens = 4;
  std::int64_t seen = 0, total = 0;
  bool stop = false;
  options.on_progress = [&](moe::Progress p) {
    seen = p.done;
    total = p.total;
  };
  options.cancelled = [&] { return stop; };
  auto session = open_session(model, options);
  const moe::Sequence s = *session->open();
  const std::vector<moe::TokenId> ids(10, 1);
  static_cast<void>(step(*session, s, ids));
  CHECK(seen == 10);
  CHECK(total == 10);
  stop = true;
  const moe::BatchItem item = {s, ids, moe::Logits::last};
  const auto out = session->step({&item, 1});
  REQUIRE_FALSE(out.has_value());
  CHECK(out.error().code == moe::ErrorCode::cancelled);
  CHECK(*session->length(s) == 10);
}

TEST_CASE("two threads, two Sessions, one Model: the bits of each alone") {
  const auto model = any_model();
  const auto vocabulary = static_cast<std::int64_t>(model->config().vocab_size);
  struct Run {
    std::vector<moe::TokenId> tokens;
    moe::ParallelFor threads = {};
    int repeats = 0;
    std::vector<float> rows = {};  // of every step, concatenated
    bool failed = false;
  };
  std::atomic<int> missing{0};  // threads that are not ready yet: both run at once, not one after the other
  const auto play = [&](Run& run) {
    moe::SessionOptions options;
    options.threads = run.threads;
    auto session = moe::Session::create(model, options);
    const auto sequence = session ? (*session)->open() : moe::Result<moe::Sequence>(moe::fail(moe::ErrorCode::io, ""));
    run.failed = !sequence;
    for (--missing; missing > 0;) std::this_thread::yield();
    for (int repeat = 0; repeat < run.repeats && !run.failed; ++repeat) {
      run.failed = !(*session)->rewind(*sequence, 0);
      for (std::size_t i = 0; i < run.tokens.size() && !run.failed; i += 5) {
        const auto count = std::min<std::size_t>(5, run.tokens.size() - i);
        const auto out = (*session)->step(*sequence, std::span(run.tokens).subspan(i, count));
        run.failed = !out;
        if (out) run.rows.insert(run.rows.end(), out->row(0).begin(), out->row(0).end());
      }
    }
  };
  const auto make = [&](std::int64_t factor, const moe::ParallelFor& threads) {
    Run run;
    run.threads = threads;
    run.repeats = threads.worker_count > 1 ? 4 : 40;  // enough that the two meet; pools of four workers are slow
    for (std::int64_t i = 0; i < 40; ++i)
      run.tokens.push_back(static_cast<moe::TokenId>((factor * i + 3) % vocabulary));
    return run;
  };
  for (const moe::ParallelFor& threads : {moe::ParallelFor{}, moe::openmp_pool(2)}) {
    Run a = make(7, threads), b = make(11, threads), alone_a = a, alone_b = b;
    alone_a.threads = alone_b.threads = {};
    missing = 0;
    play(alone_a);
    play(alone_b);
    missing = 2;
    std::thread first([&] { play(a); }), second([&] { play(b); });
    first.join();
    second.join();
    REQUIRE_FALSE(a.failed);
    REQUIRE_FALSE(b.failed);
    REQUIRE_FALSE(alone_a.failed);
    CHECK_FALSE(alone_a.rows.empty());
    CHECK(same_bits(a.rows, alone_a.rows));
    CHECK(same_bits(b.rows, alone_b.rows));
    CHECK_FALSE(same_bits(a.rows, b.rows));
  }
}

TEST_CASE("logits stay as they are while somebody holds them, and their room is used again afterwards") {
  const auto model = any_model();
  auto session = open_session(model, reference_options());
  const moe::Sequence s = *session->open();
  const std::vector<moe::TokenId> first = {1, 2, 3}, other = {4, 5};
  std::vector<moe::StepOutput> held;
  std::vector<std::vector<float>> copies;
  for (int i = 0; i < 4; ++i) {
    auto out = session->step(s, i % 2 == 0 ? first : other, i == 2 ? moe::Logits::all : moe::Logits::last);
    REQUIRE(out.has_value());
    CHECK(out->row_count == (i == 2 ? 3 : 1));
    copies.emplace_back(out->row(0).begin(), out->row(0).end());
    held.push_back(std::move(*out));
  }
  for (std::size_t i = 0; i < held.size(); ++i) {
    CHECK(std::equal(copies[i].begin(), copies[i].end(), held[i].row(0).begin()));
    for (std::size_t j = 0; j < i; ++j) CHECK(held[i].logits != held[j].logits);
  }
  session = nullptr;  // they outlive the Session
  for (std::size_t i = 0; i < held.size(); ++i)
    CHECK(std::equal(copies[i].begin(), copies[i].end(), held[i].row(0).begin()));

  session = open_session(model, reference_options());
  const moe::Sequence again = *session->open();
  std::set<const float*> rooms;
  for (int i = 0; i < 6; ++i) {
    const auto out = session->step(again, other);
    REQUIRE(out.has_value());
    rooms.insert(out->logits.get());
  }
  CHECK(rooms.size() == 1);
  moe::StepOutput last;
  for (int i = 0; i < 6; ++i) {  // as a loop does that keeps one StepOutput
    auto out = session->step(again, other);
    REQUIRE(out.has_value());
    last = std::move(*out);
    rooms.insert(last.logits.get());
  }
  CHECK(rooms.size() <= 2);
}

TEST_CASE("the host's thread pool is used, and options are checked") {
  const auto model = any_model();
  moe::SessionOptions options = reference_options();
  static int calls;
  calls = 0;
  options.share_from_ns = 0;  // a tiny model's blocks would stay in the calling thread
  options.threads.worker_count = 2;
  options.threads.run = [](void*, std::int64_t count, void* context, moe::ParallelFor::Task task) {
    ++calls;
    for (std::int64_t i = count - 1; i >= 0; --i) task(context, i, static_cast<std::int32_t>(i % 2));
  };
  const std::vector<moe::TokenId> ids(9, 1);
  auto session = open_session(model, options);
  auto plain = open_session(model, reference_options());
  CHECK(same_bits(step(*session, *session->open(), ids), step(*plain, *plain->open(), ids)));
  CHECK(calls > 0);

  options.chunk_tokens = 0;
  CHECK(moe::Session::create(model, options).error().code == moe::ErrorCode::bad_argument);
  CHECK(moe::Session::create(nullptr, {}).error().code == moe::ErrorCode::bad_argument);
}

TEST_CASE("memory is estimated before loading; top_k can be changed on a model that routes") {
  for (const GoldenCase& c : golden_cases()) {
    const auto info = moe::Model::inspect(c.model.string());
    if (!info) continue;
    CAPTURE(c.name);
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE(model.has_value());
    CHECK(info->total_parameters == (*model)->info().total_parameters);
    const moe::MemoryEstimate estimate = moe::Session::estimate_memory(*info, reference_options());
    CHECK(estimate.weight_bytes == info->weight_bytes);
    CHECK(estimate.cache_bytes > 0);
    CHECK(estimate.scratch_bytes > 0);
    if (info->config.router.expert_count == 0) {
      CHECK((*model)->with_top_k(1).error().code == moe::ErrorCode::bad_config);
      continue;
    }
    const auto one = (*model)->with_top_k(1);
    REQUIRE(one.has_value());
    CHECK((*one)->config().router.top_k == 1);
    CHECK((*one)->info().touched_bytes == info->touched_bytes - (info->config.router.top_k - 1) * info->routed_bytes);
    CHECK(info->routed_bytes > 0);
    CHECK((*model)->config().router.top_k == info->config.router.top_k);
    CHECK_FALSE((*model)->with_top_k(info->config.router.expert_count + 1).has_value());
    auto session = open_session(*one, reference_options());
    CHECK(step(*session, *session->open(), std::vector<moe::TokenId>(3, 1)).size() > 0);
  }
}

}  // namespace session_test
