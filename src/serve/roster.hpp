#pragma once
// All jobs of the scheduler: waiting, running and preempted ones.

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moe/serve.hpp"
#include "serve/job_record.hpp"
#include "serve/prefix_index.hpp"

namespace moe::inline MOE_ABI::serve {

class Roster {
 public:
  /// All must outlive the roster.
  Roster(StepEngine& engine, PrefixIndex& index, const SchedulerOptions& options);
  ~Roster();
  Roster(const Roster&) = delete;
  Roster& operator=(const Roster&) = delete;

  void add(std::unique_ptr<JobRecord> job);
  JobRecord* find(JobId id) const;

  /// Starts or continues the next job; null when there is none or no room for it.
  JobRecord* admit_one();
  /// Running jobs by age, without paused ones and those that wait for the part of another job's trunk that they share;
  /// starts the latter as soon as that is computed.
  std::vector<JobRecord*> ready();
  /// Preempts a running job: a paused one, else the youngest. Never the oldest one that is not paused, so there is
  /// always progress. False when no other job holds sequences.
  bool preempt_one();

  /// Closes its sequences; the job is forgotten with the next sweep().
  void end(JobRecord& job);
  void sweep();

  std::string_view salt(const JobRecord& job) const {
    return options_.isolate_owners ? std::string_view(job.job.owner) : std::string_view();
  }
  const std::deque<JobRecord*>& waiting() const { return waiting_; }
  const std::vector<JobRecord*>& preempted() const { return preempted_; }
  const std::vector<JobRecord*>& running() const { return running_; }
  bool is_empty() const { return jobs_.empty(); }
  const std::map<JobId, std::unique_ptr<JobRecord>>& jobs() const { return jobs_; }
  std::int64_t preemptions() const { return preemptions_; }

 private:
  std::int64_t free_pages() const { return engine_.free_tokens() / kPageTokens; }
  // Replies that run, of all and by owner.
  struct Places {
    std::int64_t taken = 0;
    std::map<std::string_view, std::int64_t> taken_by = {};
  };
  Places places() const;
  bool has_place(const JobRecord& job, const Places& places) const;
  bool is_due(const JobRecord& job, const Places& places) const;
  JobRecord* first_in_line();
  JobRecord* next_waiting() const;
  JobRecord* most_shared(JobRecord& head);
  std::int64_t shared_tokens(const JobRecord& job) const;
  bool make_room_for(const JobRecord& job);
  bool preempt_paused();
  void make_room_for_lone(const JobRecord& job);
  void start(JobRecord& job);
  void take_known_scores(JobRecord& job);
  void wait_for_older(JobRecord& job);
  bool take_from(const JobRecord& older, JobRecord& job);
  void enlist(JobRecord& job);
  void preempt(JobRecord& job);
  void drop_sequences(JobRecord& job);

  StepEngine& engine_;
  PrefixIndex& index_;
  const SchedulerOptions& options_;
  std::map<JobId, std::unique_ptr<JobRecord>> jobs_;
  std::deque<JobRecord*> waiting_;     // in order of arrival
  std::vector<JobRecord*> preempted_;  // by age
  std::vector<JobRecord*> running_;    // by age
  std::string last_owner_;             // owner of the job that began last; the next turn is another's
  std::int64_t next_age_ = 1, preemptions_ = 0;
};

}  // namespace moe::inline MOE_ABI::serve
