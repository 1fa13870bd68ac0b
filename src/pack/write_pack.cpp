#include <algorithm>

#include "arch/family.hpp"
#include "checkpoint/about.hpp"
#include "moe/pack.hpp"
#include "pack/build.hpp"
#include "pack/pack_file.hpp"
#include "pack/pack_path.hpp"
#include "pack/source.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {

using checkpoint::about;

Result<std::string> packed_path(const std::string& named, const std::string& model) {
  return pack::path_of_pack(named, model);
}

Result<PackReport> write_pack(const std::string& model, const std::string& out, const LoadOptions& options) {
  if (auto ok = check_workers(options.threads); !ok) return forward(ok);
  if (!out.ends_with(".moepack"))
    return fail(ErrorCode::bad_argument, out + ": does not end in .moepack, as packed files do");
  const auto path = pack::path_of_pack(out, model);
  if (!path) return forward(path);
  const auto file = checkpoint::open(model, options.content_hash);
  if (!file) return about(model, file);
  const auto recognised = arch::recognise(**file);
  if (!recognised) return about(model, recognised);
  Weights weights;
  const auto plan = plan_weights(**file, *recognised, weights);
  if (!plan) return about(model, plan);
  const auto layout = pack::lay_out(weights, *plan, (*file)->file_states().size());
  if (!layout) return about(model, layout);
  const auto lock = pack::FolderLock::take(*path, options.cancelled);
  if (!lock) return forward(lock);
  // Whatever stands there must be a packed file, a damaged one too.
  if (auto ok = pack::check_replaceable(*path); !ok) return forward(ok);
  lock->remove_dead_parts(*path);
  LoadWork work(options);
  if (auto ok = pack::build(*path, **file, *plan, *layout, work); !ok) return about(model, ok);
  work.finish();
  PackReport report;
  report.file_bytes = static_cast<std::int64_t>(layout->file_bytes);
  report.matrix_count = static_cast<std::int64_t>(layout->matrices.size());
  for (const pack::LayerBundles& layer : layout->layers) report.expert_count += layer.count;
  report.expert_matrix_count = std::count_if(layout->matrices.begin(), layout->matrices.end(),
                                             [](const pack::PlacedMatrix& m) { return is_of_expert(m.kind); });
  report.notes = plan->notes;
  return report;
}

}  // namespace moe::inline MOE_ABI
