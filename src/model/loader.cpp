#include "model/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "model/panel_units.hpp"
#include "model/weight_rows.hpp"
#include "moe/decode.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// A vector, or panels of a matrix: one of the two jobs is null.
struct Unit {
  const VectorJob* vector;
  PanelUnit panels;  // of a vector the place in the file alone
};

Unit unit_of(const VectorJob& job) {
  // From the first to the last value that is wanted; blocks of more values are read whole.
  const Format format = job.tensor->format;
  return {&job,
          {.file = static_cast<std::size_t>(job.tensor->file),
           .offset = job.tensor->offset + static_cast<std::uint64_t>(row_bytes(format, job.first)),
           .bytes = row_bytes(format, (job.count - 1) * job.step + 1)}};
}

/// In the plan's order.
std::vector<Unit> cut_into_units(const LoadPlan& plan, bool matrices) {
  std::vector<Unit> units;
  for (const VectorJob& job : plan.vectors) units.push_back(unit_of(job));
  if (matrices)
    for (const MatrixJob& job : plan.matrices)
      for (const PanelUnit& unit : panel_units(job)) units.push_back({nullptr, unit});
  return units;
}

/// One worker's part: units [begin, end), after a block to hash if there is one.
struct Task {
  std::size_t begin, end;
  std::optional<std::size_t> block;
};

/// Without a hash, units one by one. With it, units in file order by the block in which they begin: the worker that
/// reads a block packs its units.
std::vector<Task> make_tasks(std::vector<Unit>& units, const checkpoint::ContentHasher* hash) {
  std::vector<Task> tasks;
  if (hash == nullptr) {
    for (std::size_t i = 0; i < units.size(); ++i) tasks.push_back({i, i + 1, {}});
    return tasks;
  }
  std::stable_sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.panels.file, a.panels.offset) < std::tie(b.panels.file, b.panels.offset);
  });
  std::size_t next = 0;
  for (std::size_t i = 0; i < hash->blocks().size(); ++i) {
    const auto& block = hash->blocks()[i];
    const std::size_t begin = next;
    const std::tuple end(block.source, block.offset + block.bytes);
    while (next < units.size() && std::tie(units[next].panels.file, units[next].panels.offset) < end) ++next;
    tasks.push_back({begin, next, i});
  }
  return tasks;
}

/// File blocks in use at a time. Per worker: those of the largest unit, one more because a unit may begin inside a
/// block, and one of scales, which lie elsewhere in the file.
std::size_t blocks_in_use(const std::vector<Unit>& units, std::int32_t workers) {
  std::uint64_t bytes = 0;
  for (const Unit& unit : units) bytes = std::max(bytes, static_cast<std::uint64_t>(unit.panels.bytes));
  return static_cast<std::size_t>((bytes + checkpoint::kFileBlockBytes - 1) / checkpoint::kFileBlockBytes + 2) *
         static_cast<std::size_t>(workers);
}

class Loader {
 public:
  /// Reads matrices into panels in `memory`, and vectors; vectors alone where `memory` is null.
  Loader(const checkpoint::Checkpoint& file, const LoadPlan& plan, LoadWork& work, AlignedBuffer<std::byte>* memory,
         checkpoint::ContentHasher* hash)
      : file_(file),
        plan_(plan),
        units_(cut_into_units(plan, memory != nullptr)),
        work_(work),
        hash_(hash),
        memory_(memory),
        buffers_(static_cast<std::size_t>(work.worker_count())) {}

  Result<void> run();

 private:
  Result<void> allocate();
  Result<void> work_on(const Task& task, std::int32_t worker);
  Result<void> read_vector(const Unit& unit, RowBuffers& buffers);
  Result<void> read(const Unit& unit, RowBuffers& buffers) {
    if (unit.vector != nullptr) return read_vector(unit, buffers);
    const Matrix& out = *unit.panels.job->out;
    return pack_unit(file_, unit.panels, buffers, out.data + unit.panels.begin * out.panel_bytes);
  }

  const checkpoint::Checkpoint& file_;
  const LoadPlan& plan_;
  std::vector<Unit> units_;
  LoadWork& work_;
  checkpoint::ContentHasher* hash_;
  AlignedBuffer<std::byte>* memory_;
  std::vector<RowBuffers> buffers_;  // one per worker
};

Result<void> Loader::read_vector(const Unit& unit, RowBuffers& buffers) {
  const VectorJob& job = *unit.vector;
  buffers.raw.resize(static_cast<std::size_t>(unit.panels.bytes));
  if (auto ok = file_.read(*job.tensor, unit.panels.offset - job.tensor->offset, buffers.raw); !ok) return forward(ok);
  std::vector<float> values(static_cast<std::size_t>((job.count - 1) * job.step + 1));
  decode_row(job.tensor->format, buffers.raw.data(), static_cast<std::int64_t>(values.size()), values.data());
  job.out->resize(static_cast<std::size_t>(job.count));
  for (std::int64_t i = 0; i < job.count; ++i) {
    const float x = values[static_cast<std::size_t>(i * job.step)];
    const std::int64_t at = i % job.columns * (job.count / job.columns) + i / job.columns;  // i, unless transposed
    (*job.out)[static_cast<std::size_t>(at)] = job.minus_exp       ? minus_exp(x)
                                               : job.added == 0.0f ? x * job.factor
                                                                   : x * job.factor + job.added;
    if (!std::isfinite(x))
      return fail(ErrorCode::non_finite,
                  fmt::format("tensor {} holds {}, expected finite numbers", job.tensor->name, x));
  }
  return {};
}

// One allocation for all: huge pages cover matrices that are smaller than a page.
Result<void> Loader::allocate() {
  constexpr std::int64_t kLine = 64;
  const auto bytes_of = [](const Matrix& m) { return (m.bytes() + kLine - 1) / kLine * kLine; };
  std::int64_t bytes = 0;
  for (const MatrixJob& job : plan_.matrices) bytes += bytes_of(*job.out);
  auto buffer = AlignedBuffer<std::byte>::create(static_cast<std::size_t>(bytes));
  if (!buffer) return fail(buffer.error().code, fmt::format("the weights: {}", buffer.error().message));
  std::byte* next = buffer->data();
  for (const MatrixJob& job : plan_.matrices) {
    job.out->data = next;
    next += bytes_of(*job.out);
  }
  *memory_ = std::move(*buffer);
  return {};
}

Result<void> Loader::work_on(const Task& task, std::int32_t worker) {
  if (task.block) {
    if (auto ok = hash_->add(*task.block); !ok) return ok;
    work_.add(static_cast<std::int64_t>(hash_->blocks()[*task.block].bytes));
  }
  RowBuffers& buffers = buffers_[static_cast<std::size_t>(worker)];
  for (std::size_t i = task.begin; i < task.end && !work_.stops(); ++i) {
    if (auto ok = read(units_[i], buffers); !ok) return ok;
    work_.add(units_[i].panels.bytes);
  }
  return {};
}

Result<void> Loader::run() {
  if (memory_ != nullptr)
    if (auto ok = allocate(); !ok) return forward(ok);
  const std::vector<Task> tasks = make_tasks(units_, hash_);
  for (const Unit& unit : units_) work_.expect(unit.panels.bytes);
  if (hash_ != nullptr) {
    for (const auto& block : hash_->blocks()) work_.expect(static_cast<std::int64_t>(block.bytes));
    file_.keep_blocks(blocks_in_use(units_, work_.worker_count()));
  }
  return work_.run(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i, std::int32_t worker) {
    return work_on(tasks[static_cast<std::size_t>(i)], worker);
  });
}

}  // namespace

Result<void> load_weights(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options,
                          Weights& weights, checkpoint::ContentHasher* hash) {
  LoadWork work(options);
  if (auto ok = Loader(file, plan, work, &weights.memory, hash).run(); !ok) return ok;
  work.finish();
  return {};
}

Result<void> load_vectors(const checkpoint::Checkpoint& file, const LoadPlan& plan, LoadWork& work,
                          checkpoint::ContentHasher* hash) {
  return Loader(file, plan, work, nullptr, hash).run();
}

}  // namespace moe::inline MOE_ABI
