// A model whose layers are in several stages: the bits, counts and errors of one process, whatever the messages' timing;
// and stages that do not fit each other are refused by name.

#include <malloc.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <random>
#include <thread>

#include "golden/golden.hpp"
#include "model/stage_link.hpp"
#include "moe/stages.hpp"
#include "scratch_dir.hpp"

namespace stages_test {

namespace {

using namespace moe_test;
using moe::ErrorCode;

struct Case {
  std::string name;
  std::filesystem::path path;
  std::shared_ptr<const moe::Model> model;
};

/// Golden models that can be divided.
std::vector<Case> cases() {
  std::vector<Case> out;
  std::vector<GoldenCase> found = golden_cases();
  for (GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden"))
    found.push_back(std::move(c));
  for (const GoldenCase& c : found) {
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::none});
    if (!model || (*model)->config().layer_count < 2) continue;
    // Others are refused: their layers need more than the hidden state.
    const moe::ModelConfig& config = (*model)->config();
    if (config.rope.scaling != moe::RopeScaling::longrope && config.mixers.empty() && config.layer_input_size == 0 &&
        config.kv_shared_layer_count == 0)
      out.push_back({c.name, c.model, *model});
  }
  return out;
}

/// Sends late, or spoils one message.
class Disturbed final : public moe::StageTransport {
 public:
  struct Options {
    std::uint32_t seed = 0;
    int most_us = 0;
    int spoils = -1;    ///< which message that it sends
    int swallows = -1;  ///< which message it loses
    int first_ms = 0;   ///< how late the first one is
  };
  Disturbed(std::shared_ptr<moe::StageTransport> inner, const Options& options)
      : inner_(std::move(inner)), options_(options), random_(options.seed + 1) {}
  std::int32_t rank() const override { return inner_->rank(); }
  std::int32_t size() const override { return inner_->size(); }
  moe::Result<void> send(std::int32_t to, std::span<const std::byte> message) override {
    const int nth = sent_++;
    if (nth == 0) std::this_thread::sleep_for(std::chrono::milliseconds(options_.first_ms));
    if (options_.most_us > 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % static_cast<std::uint32_t>(options_.most_us)));
    if (nth == options_.swallows) return {};
    std::vector<std::byte> bytes(message.begin(), message.end());
    if (nth == options_.spoils) bytes[bytes.size() - 1] ^= std::byte{1};
    return inner_->send(to, bytes);
  }
  moe::Result<std::vector<std::byte>> receive(std::int32_t from, double seconds) override {
    return inner_->receive(from, seconds);
  }

 private:
  std::shared_ptr<moe::StageTransport> inner_;
  Options options_;
  std::minstd_rand random_;
  int sent_ = 0;
};

using Change = std::function<void(std::int32_t rank, moe::LoadOptions&, moe::SessionOptions&)>;

struct Special {
  std::vector<Disturbed::Options> disturbances = {};
  Change change = {};
  std::filesystem::path later_path = {};         // where the later stages find the model
  std::vector<moe::ExpertOptions> experts = {};  // [stage]
  moe::StageOptions waits = {.wait_seconds = 0.4, .first_wait_seconds = 20.0, .agree_wait_seconds = 20.0};
};

/// A model in several stages; the later ones are threads.
class Pipeline {
 public:
  Pipeline(const std::filesystem::path& path, const moe::SessionOptions& options, std::int32_t count,
           const Special& special = {}) {
    const auto info = moe::Model::inspect(path.string());
    const auto ranges = moe::divide_layers(*info, count);
    const auto transports = moe::local_stages(count);
    errors.resize(static_cast<std::size_t>(count));
    for (std::int32_t r = 0; r < count; ++r) {
      const auto i = static_cast<std::size_t>(r);
      std::shared_ptr<moe::StageTransport> transport = (*transports)[i];
      if (!special.disturbances.empty()) transport = std::make_shared<Disturbed>(transport, special.disturbances[i]);
      moe::LoadOptions load{.tokenizer = moe::TokenizerUse::none, .layers = (*ranges)[i], .content_hash = moe::sha256};
      moe::SessionOptions own = options;
      own.stages = *moe::Stages::join(transport, special.waits);
      if (special.change) special.change(r, load, own);
      auto loaded = moe::Model::load((r > 0 && !special.later_path.empty() ? special.later_path : path).string(), load);
      REQUIRE(loaded.has_value());
      std::shared_ptr<const moe::Model> model = *loaded;
      if (!special.experts.empty()) model = model->with_experts(special.experts[i]).value();
      resident_bytes.push_back(model->resident_bytes());
      if (r > 0)
        threads_.emplace_back([this, i, model, own] {
          const auto ok = moe::serve_stage(model, own);
          const std::lock_guard lock(mutex_);
          if (!ok) errors[i] = ok.error().message;
        });
      else
        first_ = [model, own] { return moe::Session::create(model, own); };
    }
    auto made = first_();
    if (made)
      session = std::move(*made);
    else
      errors[0] = made.error().message;
  }
  /// While the stages run.
  std::string error_of(std::size_t stage) {
    const std::lock_guard lock(mutex_);
    return errors[stage];
  }
  ~Pipeline() {
    session.reset();
    for (std::thread& thread : threads_) thread.join();
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  std::unique_ptr<moe::Session> session;
  std::vector<std::string> errors;  // [stage] that ended it
  std::vector<std::int64_t> resident_bytes;

 private:
  std::mutex mutex_;  // of errors, while the stages run
  std::function<moe::Result<std::unique_ptr<moe::Session>>()> first_;
  std::vector<std::thread> threads_;
};

/// Sequences that grow together, fork, go back and end; all logits.
std::vector<float> play(moe::Session& session, const std::vector<moe::TokenId>& ids) {
  const std::span<const moe::TokenId> all(ids);
  std::vector<float> out;
  const auto run = [&](const std::vector<moe::BatchItem>& batch) {
    auto got = session.step(batch);
    if (!got) FAIL("step: " << got.error().message);
    out.insert(out.end(), got->logits.get(), got->logits.get() + got->row_count * got->vocab_size);
    for (const std::int64_t n : got->expert_counts) out.push_back(static_cast<float>(n));
  };
  const moe::Sequence a = *session.open(), b = *session.open();
  run({{a, all.first(70), moe::Logits::all, 0}, {b, all.subspan(3, 30), moe::Logits::last, 1}});
  const moe::Sequence c = *session.fork(a);
  run({{c, all.subspan(70, 1), moe::Logits::last, 2}, {a, all.subspan(80, 20), moe::Logits::none, 0}});
  REQUIRE(session.rewind(a, 65).has_value());
  REQUIRE(session.close(b).has_value());
  const moe::Sequence d = *session.open();
  run({{a, all.subspan(20, 5), moe::Logits::all, 0}, {d, all.first(9), moe::Logits::all, 1}});
  for (std::size_t i = 0; i < 3; ++i) run({{c, all.subspan(40 + i, 1), moe::Logits::last, 2}});
  return out;
}

bool same_load(const moe::ExpertLoad& a, const moe::ExpertLoad& b) {
  if (a.layers != b.layers || a.tallies.size() != b.tallies.size()) return false;
  for (std::size_t i = 0; i < a.tallies.size(); ++i)
    if (a.tallies[i].tokens != b.tallies[i].tokens || a.tallies[i].counts != b.tallies[i].counts) return false;
  return true;
}

}  // namespace

TEST_CASE("the same bits, counts and FLOPs as in one process") {
  const auto all = cases();
  REQUIRE(!all.empty());
  std::uint32_t seed = 1;
  for (const Case& c : all) {
    CAPTURE(c.name);
    const auto ids = prompt_for(c.model->config(), 0);
    if (ids.size() < 110) continue;
    int round = 0;
    for (const Setting& setting : {kSettings[0], kSettings[1]}) {
      const moe::SessionOptions whole = options_for(setting, 1, 512);
      auto alone = open_session(c.model, whole);
      const std::vector<float> expected = play(*alone, ids);
      const moe::Work work = alone->executed();
      const moe::ExpertLoad load = alone->expert_load();
      const std::uint64_t sign = moe::canary(*alone).value();
      for (const std::int32_t count : {2, 3}) {
        if (count > c.model->config().layer_count) continue;
        CAPTURE(count);
        moe::SessionOptions options = whole;
        options.chunk_tokens = round++ % 2 == 0 ? 16 : 512;
        std::vector<Disturbed::Options> delays;
        for (int r = 0; r < count; ++r) delays.push_back({seed++, round % 3 == 0 ? 300 : 0});
        Pipeline pipeline(c.path, options, count, {.disturbances = delays});
        REQUIRE_MESSAGE(pipeline.session != nullptr, pipeline.errors[0]);
        CHECK(same_bits(play(*pipeline.session, ids), expected));
        CHECK(pipeline.session->executed() == work);
        CHECK(same_load(pipeline.session->expert_load(), load));
        CHECK(pipeline.session->free_tokens() == alone->free_tokens());
        for (const std::int64_t bytes : pipeline.resident_bytes) CHECK(bytes < c.model->resident_bytes());
        CHECK(moe::canary(*pipeline.session).value() == sign);
        for (const std::string& error : pipeline.errors) CHECK(error == "");
      }
    }
  }
}

// A layer writes as many experts as it has; what is behind them in its buffer is whatever was there.
TEST_CASE("layers with fewer experts than others: the counts and FLOPs of one process") {
  mallopt(M_PERTURB, 0xa5);  // new memory is 0x5a5a.., no expert
  int checked = 0;
  for (const Case& c : cases()) {
    const moe::ModelConfig& config = c.model->config();
    const std::int64_t layers = config.moe_layer_count();
    const auto ids = prompt_for(config, 0);
    if (layers < 2 || config.router.top_k < 2 || ids.size() < 110) continue;
    CAPTURE(c.name);
    moe::ExpertOptions experts;
    experts.top_k.assign(static_cast<std::size_t>(layers), config.router.top_k);
    experts.top_k.back() = 1;
    const moe::SessionOptions options = options_for(kSettings[0], 1, 16);
    auto alone = open_session(c.model->with_experts(experts).value(), options);
    const std::vector<float> expected = play(*alone, ids);
    Pipeline pipeline(c.path, options, 2, {.experts = {experts, experts}});
    REQUIRE_MESSAGE(pipeline.session != nullptr, pipeline.errors[0]);
    CHECK(same_bits(play(*pipeline.session, ids), expected));
    CHECK(pipeline.session->executed() == alone->executed());
    CHECK(same_load(pipeline.session->expert_load(), alone->expert_load()));
    ++checked;
  }
  mallopt(M_PERTURB, 0);
  CHECK(checked > 0);
}

namespace {

Case first_case() {
  const auto all = cases();
  for (const Case& c : all)
    if (c.model->config().layer_count >= 3 && c.model->config().moe_layer_count() > 0) return c;
  return all.front();
}

}  // namespace

TEST_CASE("a step that ends in any stage leaves all of them as before") {
  const Case c = first_case();
  const auto ids = prompt_for(c.model->config(), 0);
  moe::SessionOptions options = options_for(kSettings[0], 1, 8);
  const std::vector<float> expected = whole_logits(c.model, options, ids);
  const std::int32_t count = std::min<std::int32_t>(3, static_cast<std::int32_t>(c.model->config().layer_count));
  for (std::int32_t where = 0; where < count; ++where) {
    CAPTURE(where);
    std::atomic<int> calls{0};
    std::atomic<int> limit{1 << 30};
    const auto change = [&](std::int32_t rank, moe::LoadOptions&, moe::SessionOptions& own) {
      if (rank == where) own.cancelled = [&] { return ++calls > limit; };
    };
    Pipeline pipeline(c.path, options, count, {.change = change});
    REQUIRE(pipeline.session != nullptr);
    const moe::Sequence s = *pipeline.session->open();
    static_cast<void>(step(*pipeline.session, s, std::span(ids).first(20)));
    for (const int n : {0, 2, 7}) {
      calls = 0, limit = n;
      const auto out = pipeline.session->step(s, std::span(ids).subspan(20, 60), moe::Logits::all);
      REQUIRE_FALSE(out.has_value());
      CHECK(out.error().code == ErrorCode::cancelled);
      CHECK(*pipeline.session->length(s) == 20);
    }
    limit = 1 << 30;
    const moe::BatchItem item = {s, std::span(ids).subspan(20, 60), moe::Logits::all};
    const auto unread = pipeline.session->step({&item, 1}, [](std::int64_t, std::span<const float>) {
      return moe::Result<void>(moe::fail(ErrorCode::bad_argument, "a row that nobody wants"));
    });
    REQUIRE_FALSE(unread.has_value());
    CHECK(*pipeline.session->length(s) == 20);
    std::vector<float> got;
    const auto read = pipeline.session->step({&item, 1}, [&](std::int64_t, std::span<const float> rows) {
      got.insert(got.end(), rows.begin(), rows.end());
      return moe::Result<void>();
    });
    REQUIRE_MESSAGE(read.has_value(), read.error().message);
    const auto from = expected.begin() + 20 * c.model->config().vocab_size;
    CHECK(same_bits(got, {from, from + 60 * c.model->config().vocab_size}));
    REQUIRE(pipeline.session->rewind(s, 20).has_value());
    const auto rest = step(*pipeline.session, s, std::span(ids).subspan(20));
    const std::vector<float> tail(expected.begin() + 20 * c.model->config().vocab_size, expected.end());
    CHECK(same_bits(rest, tail));
    CHECK_FALSE(pipeline.session->step(99, ids).has_value());  // refused here, and nobody else hears of it
    pipeline.session.reset();
  }
}

TEST_CASE("stages that do not fit are refused by name, in all of them") {
  const Case c = first_case();
  const moe::SessionOptions options = options_for(kSettings[0], 1, 16);
  struct Wrong {
    const char* named;
    Change change;
    std::vector<moe::ExpertOptions> experts = {};  // [stage]
  };
  const std::int64_t layers = c.model->config().layer_count;
  const std::vector<Wrong> wrongs = {
      {"chunk_tokens", [](std::int32_t, moe::LoadOptions&, moe::SessionOptions& o) { o.chunk_tokens = 17; }},
      {"max_tokens", [](std::int32_t, moe::LoadOptions&, moe::SessionOptions& o) { o.max_tokens = 640; }},
      {"cache", [](std::int32_t, moe::LoadOptions&, moe::SessionOptions& o) { o.kv = moe::KvType::bf16; }},
      {"precision",
       [](std::int32_t, moe::LoadOptions&, moe::SessionOptions& o) { o.precision = moe::Precision::automatic; }},
      {"does not know its model content",
       [](std::int32_t, moe::LoadOptions& l, moe::SessionOptions&) { l.content_hash = nullptr; }},
      {"layers",
       [=](std::int32_t, moe::LoadOptions& l, moe::SessionOptions&) {
         l.layers = {{0, layers}};
       }},
      {"has expert mass '0.5'", {}, {{}, {.expert_mass = 0.5}}},
      {"has variant of the expert mass 'plain'",
       {},
       {{.expert_mass = 0.5}, {.expert_mass = 0.5, .mass_variant = moe::MassVariant::plain}}},
  };
  for (const Wrong& wrong : wrongs) {
    CAPTURE(wrong.named);
    std::vector<std::string> errors;
    {
      const auto change = [&](std::int32_t rank, moe::LoadOptions& l, moe::SessionOptions& o) {
        if (rank == 1 && wrong.change) wrong.change(rank, l, o);
      };
      Pipeline pipeline(c.path, options, 2, {.change = change, .experts = wrong.experts});
      CHECK(pipeline.session == nullptr);
      while (pipeline.session == nullptr && pipeline.error_of(1).empty())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      errors = pipeline.errors;
    }
    CHECK_MESSAGE(errors[0].find(wrong.named) != std::string::npos, errors[0]);
    CHECK(errors[0].find("stage 1") != std::string::npos);
    CHECK(errors[1] == errors[0]);
  }
}

namespace {

/// What stage 0 says when stage 1 reads `other`; both have said it.
std::string refusal(const std::filesystem::path& path, const std::filesystem::path& other) {
  Pipeline pipeline(path, options_for(kSettings[0], 1, 16), 2, {.later_path = other});
  if (pipeline.session != nullptr) return "nothing: it runs";
  while (pipeline.error_of(1).empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(pipeline.error_of(1) == pipeline.errors[0]);
  return pipeline.errors[0];
}

}  // namespace

TEST_CASE("stages that read other bytes are refused, by the name of the file") {
  const std::filesystem::path golden = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden";
  const ScratchDir scratch("moe_stages");
  const std::filesystem::path other = scratch.dir / "other";
  const auto copy = [&] {
    std::filesystem::remove_all(other);
    std::filesystem::copy(golden / "qwen3_moe", other);
  };
  const auto change = [&](const char* name, const std::function<void(std::string&)>& edit) {
    copy();
    std::string bytes = read_file(other / name);
    const std::string before = bytes;
    edit(bytes);
    REQUIRE(bytes != before);
    scratch.write(std::string("other/") + name, bytes);
    return refusal(golden / "qwen3_moe", other);
  };
  // Neither sizes nor formats tell of these.
  const std::string weights = change("model.safetensors", [](std::string& b) { b[b.size() - 2] ^= 1; });
  CHECK_MESSAGE(weights.find("stage 1 has model.safetensors '") != std::string::npos, weights);
  const std::string config = change("config.json", [](std::string& b) {
    const std::string key = "\"rope_theta\": ";
    const std::size_t at = b.find(key);
    REQUIRE(at != std::string::npos);
    b.insert(at + key.size(), "1");
  });
  CHECK_MESSAGE(config.find("stage 1 has config.json '") != std::string::npos, config);

  const std::filesystem::path gguf = golden / "gguf/qwen3_moe-q8_0.gguf", changed = scratch.dir / "changed.gguf";
  std::string bytes = read_file(gguf);
  bytes.back() ^= 1;
  scratch.write("changed.gguf", bytes);
  const std::string single = refusal(gguf, changed);
  CHECK_MESSAGE(single.find("stage 1 has model content '") != std::string::npos, single);
  const std::string neither = refusal(gguf, golden / "qwen3_moe");
  CHECK_MESSAGE(neither.find("stage 1 has ") != std::string::npos, neither);
}

TEST_CASE("stages that do not know the model's bytes are refused") {
  const Case c = first_case();
  const auto change = [](std::int32_t, moe::LoadOptions& l, moe::SessionOptions&) { l.content_hash = nullptr; };
  Pipeline pipeline(c.path, options_for(kSettings[0], 1, 16), 2, {.change = change});
  CHECK(pipeline.session == nullptr);
  CHECK_MESSAGE(pipeline.errors[0].find("stage 0 does not know its model content") != std::string::npos,
                pipeline.errors[0]);
}

TEST_CASE("a stage of another build, whose card names other things, is refused by what differs") {
  const auto refused = [](const moe::StageCard& first, const moe::StageCard& second) {
    const auto transports = moe::local_stages(2).value();
    moe::StageLink link0(transports[0], {}), link1(transports[1], {});
    std::thread other([&] { CHECK_FALSE(link1.agree(second, 2).has_value()); });
    const auto verdict = link0.agree(first, 2);
    other.join();
    return verdict ? std::string() : verdict.error().message;
  };
  const std::pair<std::string, std::string> sizes = {"layers", "2"}, content = {moe::kModelContent, "a"};
  const moe::StageCard first = {{0, 1}, {sizes, {"cache", "f16"}, content}};
  CHECK(refused(first, {{1, 2}, {sizes, {"cache type", "f16"}}}) ==
        "stage 1 has cache type 'f16', stage 0 has cache 'f16'");
  CHECK(refused(first, {{1, 2}, {sizes, {"cache", "f16"}}}) == "stage 1 compares 2 things, stage 0 3");
  CHECK(refused(first, {{1, 2}, {sizes, {"cache", "f16"}, {moe::kModelContent, ""}}})
            .starts_with("stage 1 does not know its model content"));
}

namespace {

/// How the step of `count` tokens ends, of two sequences whose stage 0 is at work for so long.
std::string error_of_step(Pipeline& pipeline, std::atomic<int>& work_ms, int ms, std::size_t count) {
  const auto ids = std::vector<moe::TokenId>(count / 2, 1);
  const moe::Sequence a = *pipeline.session->open(), b = *pipeline.session->open();
  work_ms = ms;
  const std::vector<moe::BatchItem> batch = {{a, ids, moe::Logits::last, 0}, {b, ids, moe::Logits::last, 0}};
  const auto out = pipeline.session->step(batch);
  for (const moe::Sequence s : {a, b}) CHECK(pipeline.session->close(s).has_value());
  return out ? std::string() : out.error().message;
}

}  // namespace

TEST_CASE("a step of many tokens may take as much longer than the steps before it") {
  const Case c = first_case();
  // After 16 tokens the time of 128 is known, after 4 it is not.
  for (const std::size_t first : {std::size_t{16}, std::size_t{4}}) {
    CAPTURE(first);
    std::atomic<int> work_ms{0};  // of stage 0, in the next step
    const auto change = [&](std::int32_t rank, moe::LoadOptions&, moe::SessionOptions& own) {
      if (rank == 0)
        own.cancelled = [&] {
          std::this_thread::sleep_for(std::chrono::milliseconds(work_ms.exchange(0)));
          return false;
        };
    };
    Pipeline pipeline(c.path, options_for(kSettings[0], 1, 512), 2, {.change = change});
    REQUIRE(pipeline.session != nullptr);
    CHECK(error_of_step(pipeline, work_ms, 100, first) == "");
    CHECK(error_of_step(pipeline, work_ms, 1000, 128) == "");
  }
}

TEST_CASE("a stage that comes late is awaited, unless agree_wait_seconds says how long") {
  const Case c = first_case();
  const moe::SessionOptions options = options_for(kSettings[0], 1, 16);
  const moe::StageOptions short_waits = {.wait_seconds = 0.1, .first_wait_seconds = 0.1};
  Pipeline late(c.path, options, 2, {.disturbances = {{}, {.first_ms = 500}}, .waits = short_waits});
  CHECK_MESSAGE(late.session != nullptr, late.errors[0]);
  moe::StageOptions limited = short_waits;
  limited.agree_wait_seconds = 0.2;
  Pipeline lost(c.path, options, 2, {.disturbances = {{}, {.swallows = 0}}, .waits = limited});
  REQUIRE(lost.session == nullptr);
  CHECK_MESSAGE(lost.errors[0].find("no message within 0.2 seconds") != std::string::npos, lost.errors[0]);
}

TEST_CASE("a stage that is silent or damaged ends the step with one error, in time, and every later one") {
  const Case c = first_case();
  const auto ids = prompt_for(c.model->config(), 0);
  const moe::SessionOptions options = options_for(kSettings[0], 1, 16);
  for (const bool spoils : {false, true})
    for (const std::int32_t where : {0, 1}) {
      CAPTURE(spoils);
      CAPTURE(where);
      std::vector<Disturbed::Options> disturbances(2);
      // Messages of one chunk and step: stage 0 sends a verdict, then command, chunk, end; stage 1 its card, then two.
      const int after_one_step = where == 0 ? 1 + 3 : 1 + 2;
      (spoils ? disturbances[static_cast<std::size_t>(where)].spoils
              : disturbances[static_cast<std::size_t>(where)].swallows) = after_one_step + (where == 0 ? 1 : 0);
      Pipeline pipeline(c.path, options, 2, {.disturbances = disturbances});
      REQUIRE(pipeline.session != nullptr);
      const moe::Sequence s = *pipeline.session->open();
      static_cast<void>(step(*pipeline.session, s, std::span(ids).first(10)));
      const auto start = std::chrono::steady_clock::now();
      for (int attempt = 0; attempt < 2; ++attempt) {
        const auto out = pipeline.session->step(s, std::span(ids).first(10), moe::Logits::all);
        REQUIRE_FALSE(out.has_value());
        CHECK(out.error().code != ErrorCode::cancelled);
        CHECK(*pipeline.session->length(s) == 10);
      }
      CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
    }
}

TEST_CASE("layers are divided by bytes, every stage has some") {
  const Case c = first_case();
  const std::int64_t layers = c.model->config().layer_count;
  for (std::int32_t count = 1; count <= layers; ++count) {
    const auto ranges = moe::divide_layers(c.model->info(), count);
    REQUIRE(ranges.has_value());
    REQUIRE(ranges->size() == static_cast<std::size_t>(count));
    std::int64_t next = 0;
    for (const moe::LayerRange& range : *ranges) {
      CHECK(range.begin == next);
      CHECK(range.end > range.begin);
      next = range.end;
    }
    CHECK(next == layers);
  }
  CHECK_FALSE(moe::divide_layers(c.model->info(), 0).has_value());
  CHECK_FALSE(moe::divide_layers(c.model->info(), static_cast<std::int32_t>(layers) + 1).has_value());
  moe::ModelInfo large;
  large.config.layer_count = 61;
  large.config.router.expert_count = 256;
  large.packed.always = 61;
  for (int l = 0; l < 61; ++l) large.packed.expert.push_back(l < 3 ? 0 : 1000);
  const auto four = moe::divide_layers(large, 4);
  REQUIRE(four.has_value());
  CHECK((*four)[0].end == 17);  // three dense layers more than the others
  CHECK((*four)[3].end == 61);
}

TEST_CASE("a part of a model is no whole one") {
  const Case c = first_case();
  const auto part = moe::Model::load(c.path.string(), {.tokenizer = moe::TokenizerUse::none, .layers = {{0, 1}}});
  REQUIRE(part.has_value());
  CHECK((*part)->layers() == moe::LayerRange{0, 1});
  CHECK(moe::Session::estimate_memory(**part).cache_bytes * c.model->config().layer_count ==
        moe::Session::estimate_memory(*c.model).cache_bytes);
  const auto session = moe::Session::create(*part, {.max_tokens = 64});
  REQUIRE_FALSE(session.has_value());
  CHECK(session.error().code == ErrorCode::bad_argument);
  const std::int64_t layers = c.model->config().layer_count;
  for (const moe::LayerRange wrong : {moe::LayerRange{-1, 1}, {0, layers + 1}, {1, 1}, {2, 1}})
    CHECK(moe::Model::load(c.path.string(), {.layers = wrong}).error().code == ErrorCode::bad_argument);
}

}  // namespace stages_test
