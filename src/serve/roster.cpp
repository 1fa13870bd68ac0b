#include "serve/roster.hpp"

#include <algorithm>
#include <utility>

namespace moe::inline MOE_ABI::serve {
namespace {

// Shorter common prefixes are not worth waiting for another job's trunk.
constexpr std::int64_t kWorthWaiting = 16;

std::int64_t common_tokens(std::span<const TokenId> a, std::span<const TokenId> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

std::span<const TokenId> trunk_of(const JobRecord& job) {
  return std::span(job.job.prompt).first(static_cast<std::size_t>(job.trunk_end()));
}

bool by_age(const JobRecord* a, const JobRecord* b) { return a->age < b->age; }

void insert_by_age(std::vector<JobRecord*>& list, JobRecord& job) {
  list.insert(std::upper_bound(list.begin(), list.end(), &job, by_age), &job);
}

// Replies that count against max_sequences.
std::int64_t sequences_of(const JobRecord& job) { return job.generates ? job.open_replies() : 1; }

}  // namespace

Roster::Roster(StepEngine& engine, PrefixIndex& index, const SchedulerOptions& options)
    : engine_(engine), index_(index), options_(options) {}

Roster::~Roster() {
  for (auto& [id, job] : jobs_) drop_sequences(*job);
}

void Roster::add(std::unique_ptr<JobRecord> job) {
  waiting_.push_back(job.get());
  jobs_[job->id] = std::move(job);
}

JobRecord* Roster::find(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() || found->second->state == JobState::done ? nullptr : found->second.get();
}

// ---- who comes next

std::int64_t Roster::shared_tokens(const JobRecord& job) const {
  std::int64_t most = index_.match(salt(job), job.job.prompt);
  for (const JobRecord* other : running_)
    if (!other->has_branched && salt(*other) == salt(job))
      most = std::max(most, common_tokens(trunk_of(*other), job.job.prompt));
  return most;
}

// Among the first jobs of an owner, the one with the longest prefix that is cached or will be soon.
JobRecord* Roster::most_shared(JobRecord& head) {
  const Places taken = places();
  JobRecord* best = &head;
  std::int64_t most = -1, seen = 0;
  for (JobRecord* job : waiting_) {
    if (job->is_paused || job->job.owner != head.job.owner) continue;
    if (++seen > options_.reorder_window) break;
    const bool can_go = job == &head || has_place(*job, taken);  // one of many replies may need more room
    if (const std::int64_t shared = can_go ? shared_tokens(*job) : -1; shared > most) most = shared, best = job;
    if (job->passed >= options_.reorder_window) break;
  }
  return best;
}

Roster::Places Roster::places() const {
  Places out;
  for (const JobRecord* job : running_) {
    if (job->is_paused) continue;
    out.taken += sequences_of(*job);
    out.taken_by[job->job.owner] += sequences_of(*job);
  }
  return out;
}

// An owner below its share does not wait for others' replies to end: replies take turns in the steps (Composer).
bool Roster::is_due(const JobRecord& job, const Places& places) const {
  const auto found = places.taken_by.find(job.job.owner);
  const bool is_new = found == places.taken_by.end();
  if (is_new && places.taken <= options_.max_sequences) return true;
  const auto owners = static_cast<std::int64_t>(places.taken_by.size()) + (is_new ? 1 : 0);
  return (is_new ? 0 : found->second) + sequences_of(job) <= options_.max_sequences / owners;
}

bool Roster::has_place(const JobRecord& job, const Places& places) const {
  return places.taken == 0 || places.taken + sequences_of(job) <= options_.max_sequences || is_due(job, places);
}

// Owners take turns, so that none waits for the whole queue of another, with the oldest job of each. If there is no
// place for the next owner, only owners below their share may start.
JobRecord* Roster::next_waiting() const {
  std::map<std::string_view, JobRecord*> heads;
  for (JobRecord* job : waiting_)
    if (!job->is_paused) heads.emplace(job->job.owner, job);
  const Places taken = places();
  auto turn = heads.upper_bound(last_owner_);
  for (std::size_t i = 0; i < heads.size(); ++i, ++turn) {
    if (turn == heads.end()) turn = heads.begin();
    if (i == 0 ? has_place(*turn->second, taken) : is_due(*turn->second, taken)) return turn->second;
  }
  return nullptr;
}

JobRecord* Roster::first_in_line() {
  const auto goes = [](const JobRecord* job) { return !job->is_paused; };
  if (const auto job = std::find_if(preempted_.begin(), preempted_.end(), goes); job != preempted_.end()) return *job;
  JobRecord* head = next_waiting();
  return head != nullptr && index_.is_on() ? most_shared(*head) : head;
}

// ---- room

// Nothing else runs: it fits when no other sequences are left.
void Roster::make_room_for_lone(const JobRecord& job) {
  while (free_pages() < job.pages_to_come() && (index_.evict_one() || preempt_one())) {
  }
}

bool Roster::make_room_for(const JobRecord& job) {
  // Its need plus a page for each reply, so that it does not need more room at once.
  std::int64_t pages = job.pages_to_come() + (job.generates ? job.open_replies() : 0);
  bool is_alone = true;
  bool can_preempt = false;
  for (const JobRecord* other : running_) {
    if (other->is_paused) {  // it needs nothing now, so its pages are taken first
      can_preempt = can_preempt || other->holds_sequences();
      continue;
    }
    pages += other->pages_to_come();
    is_alone = false;
  }
  if (is_alone) {
    make_room_for_lone(job);
    return true;
  }
  if (!has_place(job, places())) return false;
  if (free_pages() >= pages) return true;
  if (!can_preempt && free_pages() + index_.tokens_held() / kPageTokens < pages) return false;
  while (free_pages() < pages && (index_.evict_one() || preempt_paused())) {
  }
  return free_pages() >= pages;
}

JobRecord* Roster::admit_one() {
  JobRecord* job = first_in_line();
  if (job == nullptr) return nullptr;
  start(*job);  // before making room, so that its cached prefix stays
  if (!make_room_for(*job)) {
    drop_sequences(*job);
    return nullptr;
  }
  enlist(*job);
  return job;
}

void Roster::enlist(JobRecord& job) {
  if (job.state == JobState::preempted) {
    std::erase(preempted_, &job);
  } else {
    job.age = next_age_++;
    last_owner_ = job.job.owner;
    for (JobRecord* other : waiting_) {
      if (other == &job) break;
      if (!other->is_paused && other->job.owner == job.job.owner) ++other->passed;
    }
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &job));
  }
  job.state = JobState::running;
  insert_by_age(running_, job);
}

bool Roster::preempt_paused() {
  const auto job = std::find_if(running_.rbegin(), running_.rend(),
                                [](const JobRecord* j) { return j->is_paused && j->holds_sequences(); });
  if (job == running_.rend()) return false;
  preempt(**job);
  return true;
}

bool Roster::preempt_one() {
  if (preempt_paused()) return true;
  const auto oldest = std::find_if(running_.begin(), running_.end(), [](const auto* j) { return !j->is_paused; });
  for (auto job = running_.rbegin(); job != running_.rend(); ++job) {
    if ((*job)->is_paused || !(*job)->holds_sequences() || *job == *oldest) continue;
    preempt(**job);
    return true;
  }
  return false;
}

void Roster::preempt(JobRecord& job) {
  drop_sequences(job);
  job.state = JobState::preempted;
  std::erase(running_, &job);
  insert_by_age(preempted_, job);
  ++preemptions_;
}

// ---- beginnings and ends

void Roster::take_known_scores(JobRecord& job) {
  if (!job.can_use_known_scores() || job.has_all_scores()) return;
  const auto from = static_cast<std::int64_t>(job.scores.size());
  for (const TokenScore& s : index_.scores(salt(job), job.job.prompt, from)) {
    const TokenId token = job.job.prompt[job.scores.size()];
    job.scores.push_back(s);
    PositionLogProbabilities listed{{token, s.log_probability}, {}};
    if (*job.job.score_prompt == 1) listed.best.push_back({s.best, s.best_log_probability});
    job.listed.push_back(std::move(listed));
    ++job.known_scores;
  }
}

// Another job is already computing this trunk: wait instead of computing it twice.
void Roster::wait_for_older(JobRecord& job) {
  std::int64_t most = job.trunk_length + kWorthWaiting;
  for (const JobRecord* other : running_) {
    if (other->age >= job.age && job.age > 0) break;
    if (other->has_branched || other->is_paused || salt(*other) != salt(job)) continue;
    std::int64_t common = common_tokens(trunk_of(*other), job.job.prompt);
    if (job.wants_scores() && !job.has_all_scores()) {
      if (!job.can_use_known_scores() || !other->wants_scores()) continue;
      --common;  // the logits of the last one are needed
    }
    if (common <= most) continue;
    most = common;
    job.waits_for = other->id;
    job.waited_tokens = common;
  }
}

// Finds the cached prefix of the trunk. May be called again as long as nothing was computed. Without an open sequence
// there is no trunk.
void Roster::start(JobRecord& job) {
  drop_sequences(job);
  if (index_.is_on()) {
    take_known_scores(job);
    job.reused = std::min(index_.match(salt(job), job.job.prompt), job.first_row());
    if (!job.generates && job.first_row() == job.trunk_end()) {
      job.trunk_length = job.trunk_end();  // everything requested is known
      return;
    }
    if (job.reused > 0) {
      const auto begin = std::span(job.job.prompt).first(static_cast<std::size_t>(job.reused));
      job.trunk = index_.fork(salt(job), begin).value_or(kNoSequence);
    }
    if (job.trunk == kNoSequence) job.reused = 0;
    job.trunk_length = job.reused;
    wait_for_older(job);
  }
  if (job.trunk == kNoSequence && job.waits_for == 0) job.trunk = engine_.open().value_or(kNoSequence);
}

// The older job has computed what both begin with, though the rest of its prompt may take long.
bool Roster::take_from(const JobRecord& older, JobRecord& job) {
  const std::int64_t length = std::min(job.waited_tokens, job.first_row());
  // Scores of the common tokens are known to others when that prompt is done.
  const bool needs_scores = job.wants_scores() && !job.has_all_scores();
  if (needs_scores || older.trunk == kNoSequence || older.trunk_length < length) return false;
  const auto begin = fork_at(engine_, older.trunk, length);
  if (!begin) return false;
  drop_sequences(job);
  job.trunk = *begin;
  job.trunk_length = job.reused = length;
  return true;
}

std::vector<JobRecord*> Roster::ready() {
  std::vector<JobRecord*> out;
  for (JobRecord* job : running_) {
    if (job->is_paused) continue;
    if (job->waits_for != 0) {
      const JobRecord* other = find(job->waits_for);
      const bool is_coming =
          other != nullptr && other->state == JobState::running && !other->is_paused && !other->has_branched;
      if (is_coming && !take_from(*other, *job)) continue;
      if (!is_coming) start(*job);
      if (job->waits_for != 0) continue;
    }
    out.push_back(job);
  }
  return out;
}

void Roster::drop_sequences(JobRecord& job) {
  const auto close = [&](Sequence& sequence) {
    if (sequence != kNoSequence) static_cast<void>(engine_.close(std::exchange(sequence, kNoSequence)));
  };
  close(job.trunk);
  job.trunk_length = job.reused = 0;
  job.is_fresh = true;
  job.has_branched = false;
  job.waits_for = 0, job.waited_tokens = 0;
  for (ReplyRecord& reply : job.replies) {
    close(reply.sequence);
    reply.length = 0;
  }
}

void Roster::end(JobRecord& job) {
  drop_sequences(job);
  if (job.state == JobState::waiting) std::erase(waiting_, &job);
  if (job.state == JobState::preempted) std::erase(preempted_, &job);
  if (job.state == JobState::running) std::erase(running_, &job);
  job.state = JobState::done;
}

void Roster::sweep() {
  std::erase_if(jobs_, [](const auto& job) { return job.second->state == JobState::done; });
}

}  // namespace moe::inline MOE_ABI::serve
