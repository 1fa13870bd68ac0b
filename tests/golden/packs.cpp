// Packed files: a model loaded through one has the same panels, vectors, hash and logits as one loaded without.

#include <cstring>

#include "golden/golden.hpp"
#include "model/model_impl.hpp"
#include "pack/matrices.hpp"
#include "pack_plan.hpp"
#include "scratch_dir.hpp"

namespace packs_golden_test {

namespace {

using namespace moe_test;
namespace fs = std::filesystem;
using Loaded = std::shared_ptr<const moe::Model>;

/// matrices_of() gives what can be filled; these are read only.
moe::Weights& weights_of(const Loaded& model) { return const_cast<moe::Weights&>(*moe::impl_of(*model).weights); }

std::string complain_about_panels(const std::vector<moe::pack::NamedMatrix>& a,
                                  const std::vector<moe::pack::NamedMatrix>& b) {
  if (a.size() != b.size()) return "another number of matrices";
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(a[i].matrix->data, b[i].matrix->data, static_cast<std::size_t>(a[i].matrix->bytes())) != 0)
      return text_of(a[i]);
  return {};
}

/// Empty, or the first matrix that differs.
std::string complain_about(const Loaded& a, const Loaded& b) {
  const auto left = moe::pack::matrices_of(weights_of(a)), right = moe::pack::matrices_of(weights_of(b));
  const std::string resident = complain_about_panels(left.resident, right.resident);
  return resident.empty() ? complain_about_panels(left.experts, right.experts) : resident;
}

Loaded load(const GoldenCase& c, const std::string& pack, moe::PackUse use, moe::ContentHash hash) {
  auto model = moe::Model::load(c.model.string(), {.threads = moe::openmp_pool(2),
                                                   .tokenizer = moe::TokenizerUse::optional,
                                                   .content_hash = hash,
                                                   .pack = pack,
                                                   .pack_use = use});
  if (!model) FAIL(c.name << ": " << model.error().message);
  return *model;
}

std::string only_file_in(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) found.push_back(entry.path().string());
  REQUIRE(found.size() == 1);
  return found.front();
}

/// Experts as ExpertReader gives them, against those in memory.
void check_reader(const Loaded& model, const GoldenCase& c, const std::string& path) {
  const auto pack = PackPlan(c.model.string()).open(path);
  REQUIRE(pack.has_value());
  REQUIRE(*pack != nullptr);
  const moe::ExpertReader& reader = **pack;
  const auto& layers = weights_of(model).layers;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto layer = static_cast<std::int64_t>(l);
    for (std::size_t e = 0; e < layers[l].experts.size(); ++e) {
      const moe::FfnWeights& expert = layers[l].experts[e];
      const moe::BundleLayout inside = moe::BundleLayout::of(expert);
      const auto bytes = static_cast<std::size_t>(reader.bundle_bytes(layer));
      const std::unique_ptr<std::byte, decltype(&std::free)> bundle(
          static_cast<std::byte*>(std::aligned_alloc(moe::kBundleAlignment, bytes)), std::free);
      REQUIRE(read_parts(reader, layer, static_cast<std::int64_t>(e), {bundle.get(), bytes}).has_value());
      const auto same = [&](const moe::Matrix& m, std::int64_t at) {
        return m.empty() || std::memcmp(m.data, bundle.get() + at, static_cast<std::size_t>(m.bytes())) == 0;
      };
      CHECK(same(expert.gate, 0));
      CHECK(same(expert.up, inside.up));
      CHECK(same(expert.down, inside.down));
      CHECK(reader.position(layer, static_cast<std::int64_t>(e)) % moe::kBundleAlignment == 0);
    }
  }
}

}  // namespace

TEST_CASE("every golden model is the same through a packed file") {
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (is_later_family(c)) continue;
    CAPTURE(c.name);
    const ScratchDir scratch("moe_packs");
    const std::string folder = scratch / "cache";
    const Loaded plain = load(c, "", moe::PackUse::read, moe::sha256);
    const Loaded made = load(c, folder, moe::PackUse::read, moe::sha256);
    const std::string path = only_file_in(folder);
    const auto written = fs::last_write_time(path);
    const Loaded read = load(c, folder, moe::PackUse::read, moe::sha256);
    const Loaded mapped = load(c, path, moe::PackUse::map, nullptr);
    CHECK(fs::last_write_time(path) == written);
    for (const Loaded& other : {made, read, mapped}) CHECK(complain_about(plain, other) == "");
    CHECK(made->content_hash() == plain->content_hash());
    CHECK(read->content_hash() == plain->content_hash());
    CHECK(mapped->content_hash().empty());
    CHECK(mapped->resident_bytes() >= plain->resident_bytes());
    check_reader(plain, c, path);
    const auto ids = prompt_for(plain->config(), 1);
    const auto options = options_for(kSettings[1], 2, 64);
    const auto expected = whole_logits(plain, options, ids);
    CHECK(same_bits(expected, whole_logits(read, options, ids)));
    CHECK(same_bits(expected, whole_logits(mapped, options, ids)));
    ++checked;
  }
  CHECK(checked > 0);
}

}  // namespace packs_golden_test
