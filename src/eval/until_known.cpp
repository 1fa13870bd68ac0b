// Asks several models blocks of questions, with a look after each.

#include "moe/eval/until_known.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "eval/run/question_order.hpp"
#include "eval/run/run_meter.hpp"
#include "eval/tasks/subjects.hpp"
#include "moe/eval/sequential.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// The state of a pair of models.
struct Pair {
  PairVerdict known;
  GapSequence sequence;
};

// The state of one model and one task.
struct Progress {
  std::vector<std::pair<QuestionIndex, DocumentOutcome>> answers;
  std::vector<std::vector<double>> scores;  // [subtask][question], 0 or 1; of the questions that were asked
  Work executed;
  ExpertLoad load_before, load_after;  // sums over the blocks
  std::int64_t stored_answers = 0;
  double seconds = 0;
  std::optional<double> joules = 0;  // none if a block was not measured
};

// Of one task's questions, the index of each one's subject.
struct Tallies {
  SubjectNames subjects;
  std::vector<std::size_t> first;  // [subtask] where its questions begin in subjects.of_question

  explicit Tallies(const PreparedTask& task) : subjects(subjects_of(task)) {
    std::size_t at = 0;
    for (const Subtask& subtask : task.subtasks) {
      first.push_back(at);
      at += subtask.documents.size();
    }
  }
  std::vector<std::int32_t> of(const std::vector<QuestionIndex>& questions) const {
    std::vector<std::int32_t> out;
    for (const QuestionIndex& q : questions) out.push_back(subjects.of_question[first[q.subtask] + q.document]);
    return out;
  }
};

class Run {
 public:
  Run(std::span<const Contestant> contestants, const UntilKnownOptions& options)
      : contestants_(contestants),
        options_(options),
        clusters_(random_clusters(contestants[0].tasks, options.seed)),
        progress_(contestants.size(), std::vector<Progress>(contestants[0].tasks.size())) {
    summary_.alpha = options.alpha, summary_.margin = options.margin, summary_.seed = options.seed;
    summary_.cluster_count = static_cast<std::int64_t>(clusters_.size());
    for (const Cluster& cluster : clusters_) {
      const auto size = static_cast<std::int64_t>(cluster.questions.size());
      summary_.question_count += size;
      summary_.largest_cluster = std::max(summary_.largest_cluster, size);
    }
    for (std::size_t m = 0; m < contestants.size(); ++m)
      for (std::size_t t = 0; t < contestants[m].tasks.size(); ++t)
        for (const Subtask& subtask : contestants[m].tasks[t].subtasks)
          progress_[m][t].scores.emplace_back(subtask.documents.size(), 0.0);
    for (const PreparedTask& task : contestants[0].tasks) tallies_.emplace_back(task);
    make_pairs();
  }

  Result<UntilKnownOutcome> ask() {
    std::size_t begin = 0;
    while (begin < clusters_.size() && open_pairs() > 0) {
      if (options_.on_block) options_.on_block(summary_.asked, summary_.question_count, open_pairs());
      const std::int64_t size = std::max(options_.first_block, summary_.asked / 8);
      std::size_t end = block_end(clusters_, begin, size);
      if (begin == 0) end = std::max(end, reach_of_all_tasks(clusters_, contestants_[0].tasks.size()));
      if (auto asked = ask_block(begin, end); !asked) return forward(asked);
      if (auto looked = look(begin, end); !looked) return forward(looked);
      begin = end;
    }
    return finish();
  }

 private:
  void make_pairs() {
    std::vector<std::pair<std::size_t, std::size_t>> wanted;
    for (std::size_t a = 0; a < contestants_.size(); ++a)
      for (std::size_t b = 0; b < contestants_.size(); ++b)
        if (options_.baseline ? a != b && b == *options_.baseline : a < b) wanted.emplace_back(a, b);
    // The sum of all pairs' errors bounds the run's.
    summary_.pair_alpha = options_.alpha / static_cast<double>(wanted.size());
    for (const auto& [a, b] : wanted) {
      Pair pair{{}, GapSequence(summary_.pair_alpha, summary_.largest_cluster)};
      pair.known.a = a, pair.known.b = b;
      pairs_.push_back(std::move(pair));
    }
  }

  std::size_t open_pairs() const {
    return static_cast<std::size_t>(std::count_if(
        pairs_.begin(), pairs_.end(), [](const Pair& pair) { return pair.known.verdict == Verdict::open; }));
  }

  bool is_needed(std::size_t model) const {
    return std::any_of(pairs_.begin(), pairs_.end(), [&](const Pair& pair) {
      return pair.known.verdict == Verdict::open && (pair.known.a == model || pair.known.b == model);
    });
  }

  // Within a task in ascending order, because neighbours share prefixes.
  std::vector<QuestionIndex> questions_of(std::size_t begin, std::size_t end, std::size_t task) const {
    std::vector<QuestionIndex> out;
    for (std::size_t c = begin; c < end; ++c)
      if (clusters_[c].task == task)
        out.insert(out.end(), clusters_[c].questions.begin(), clusters_[c].questions.end());
    std::sort(out.begin(), out.end());
    return out;
  }

  Result<void> ask_block(std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < contestants_[0].tasks.size(); ++t) {
      const std::vector<QuestionIndex> questions = questions_of(begin, end, t);
      for (std::size_t m = 0; m < contestants_.size() && !questions.empty(); ++m)
        if (is_needed(m))
          if (auto asked = ask_model(m, t, questions); !asked) return asked;
    }
    for (std::size_t c = begin; c < end; ++c)
      summary_.asked += static_cast<std::int64_t>(clusters_[c].questions.size());
    return {};
  }

  Result<void> ask_model(std::size_t m, std::size_t t, const std::vector<QuestionIndex>& questions) {
    const Contestant& contestant = contestants_[m];
    RunMeter meter(options_.evaluate.system_root);
    const Work before = contestant.model->executed();
    const ExpertLoad load_before = contestant.model->expert_load();
    const std::int64_t stored_before = contestant.model->stored_answers();
    auto answers = answer(contestant.tasks[t], questions, *contestant.model, meter.watched(options_.evaluate.hooks),
                          tallies_[t].of(questions));
    if (!answers)
      return fail(answers.error().code,
                  contestant.name + ", " + contestant.tasks[t].spec.name + ": " + answers.error().message);
    Progress& progress = progress_[m][t];
    const std::size_t column = headline_column(contestant.tasks[t].spec.metrics);
    for (std::size_t i = 0; i < questions.size(); ++i) {
      progress.scores[questions[i].subtask][questions[i].document] = (*answers)[i].metrics[column];
      progress.answers.emplace_back(questions[i], std::move((*answers)[i]));
    }
    progress.executed += contestant.model->executed();
    progress.executed -= before;
    progress.load_before.add(load_before), progress.load_after.add(contestant.model->expert_load());
    progress.stored_answers += contestant.model->stored_answers() - stored_before;
    progress.seconds += meter.seconds();
    const auto joules = meter.joules();
    progress.joules = progress.joules && joules ? std::optional(*progress.joules + *joules) : std::nullopt;
    return {};
  }

  Result<void> look(std::size_t begin, std::size_t end) {
    ++summary_.looks;
    for (Pair& pair : pairs_) {
      if (pair.known.verdict != Verdict::open) continue;
      for (std::size_t c = begin; c < end; ++c) {
        double sum = 0;
        for (const QuestionIndex& q : clusters_[c].questions) {
          const auto score = [&](std::size_t m) {
            return progress_[m][clusters_[c].task].scores[q.subtask][q.document];
          };
          const double d = score(pair.known.a) - score(pair.known.b);
          pair.known.only_a += d > 0, pair.known.only_b += d < 0;
          sum += d;
        }
        auto added = pair.sequence.add(sum, static_cast<std::int64_t>(clusters_[c].questions.size()));
        if (!added) return added;
      }
      pair.sequence.look();
      judge(pair);
    }
    return {};
  }

  void judge(Pair& pair) const {
    PairVerdict& known = pair.known;
    known.gap = pair.sequence.gap(), known.questions = pair.sequence.question_count();
    known.lower = pair.sequence.lower(), known.upper = pair.sequence.upper();
    known.p_value = pair.sequence.p_value();
    // All of these are wrong only if the interval misses the gap at some look.
    if (known.lower > 0 || known.upper < 0)
      known.verdict = known.lower > 0 ? Verdict::a_better : Verdict::b_better;
    else if (options_.margin > 0 && known.lower > -options_.margin && known.upper < options_.margin)
      known.verdict = Verdict::equal;
  }

  Result<UntilKnownOutcome> finish() {
    UntilKnownOutcome out;
    for (std::size_t m = 0; m < contestants_.size(); ++m) {
      ModelUse use;
      auto& parts = out.asked.emplace_back();
      auto& outcomes = out.outcomes.emplace_back();
      for (std::size_t t = 0; t < contestants_[m].tasks.size(); ++t) {
        auto outcome = outcome_of(progress_[m][t], contestants_[m].tasks[t], tallies_[t].subjects.names, parts);
        if (!outcome) return forward(outcome);
        use.questions += parts.back().question_count();
        use.model_flops += outcome->model_flops;
        use.executed_flops += outcome->executed.total();
        outcomes.push_back(std::move(*outcome));
      }
      use.unasked_flops = static_cast<double>(use.model_flops) / static_cast<double>(use.questions) *
                          static_cast<double>(summary_.question_count - use.questions);
      summary_.models.push_back(use);
    }
    for (const Pair& pair : pairs_) summary_.pairs.push_back(pair.known);
    out.summary = std::move(summary_);
    return out;
  }

  Result<TaskOutcome> outcome_of(Progress& progress, const PreparedTask& task, const std::vector<std::string>& subjects,
                                 std::vector<PreparedTask>& parts) const {
    std::sort(progress.answers.begin(), progress.answers.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<QuestionIndex> questions;
    std::vector<DocumentOutcome> answers;
    for (auto& [question, answer] : progress.answers) {
      questions.push_back(question);
      answers.push_back(std::move(answer));
    }
    parts.push_back(select_questions(task, questions));
    auto outcome = summarise_answers(parts.back(), std::move(answers), options_.evaluate);
    if (!outcome) return outcome;
    // Subjects without questions asked have no row.
    outcome->skipped = -parts.back().question_count();
    for (const Subtask& subtask : task.subtasks) outcome->skipped += subtask.original_count;
    outcome->stored_answers = progress.stored_answers;
    outcome->executed = progress.executed, outcome->seconds = progress.seconds, outcome->joules = progress.joules;
    outcome->experts = expert_use(progress.load_before, progress.load_after, subjects);
    if (outcome->experts->tokens == 0) outcome->experts.reset();
    return outcome;
  }

  std::span<const Contestant> contestants_;
  const UntilKnownOptions& options_;
  std::vector<Cluster> clusters_;
  std::vector<std::vector<Progress>> progress_;  // [model][task]
  std::vector<Tallies> tallies_;                 // [task]
  std::vector<Pair> pairs_;
  UntilKnown summary_;
};

Result<void> check_same_questions(std::span<const Contestant> contestants) {
  for (const Contestant& contestant : contestants) {
    bool same = contestant.tasks.size() == contestants[0].tasks.size();
    for (std::size_t t = 0; same && t < contestant.tasks.size(); ++t)
      same = all_questions(contestant.tasks[t]) == all_questions(contestants[0].tasks[t]);
    if (!same)
      return fail(ErrorCode::bad_argument, contestant.name + " is asked other questions than " + contestants[0].name);
  }
  return {};
}

}  // namespace

Result<void> check_until_known(std::size_t model_count, std::span<const PreparedTask> tasks,
                               const UntilKnownOptions& options) {
  if (model_count < 2)
    return fail(ErrorCode::bad_argument,
                fmt::format("{} model to compare; expected at least 2 (settings of a sweep count)", model_count));
  if (!(options.alpha > 0 && options.alpha < 1))
    return fail(ErrorCode::bad_argument,
                fmt::format("alpha is {}; expected more than 0 and less than 1", options.alpha));
  if (!(options.margin >= 0 && options.margin <= 1))
    return fail(ErrorCode::bad_argument, fmt::format("the margin is {}; expected 0 to 1", options.margin));
  if (options.baseline && *options.baseline >= model_count)
    return fail(ErrorCode::bad_argument,
                fmt::format("baseline is {}; expected the index of one of {} models", *options.baseline, model_count));
  for (const PreparedTask& task : tasks) {
    if (headline_column(task.spec.metrics) == task.spec.metrics.size())
      return fail(ErrorCode::unsupported, "task '" + task.spec.name + "': its answers are not right or wrong");
    if (task.question_count() == 0)
      return fail(ErrorCode::bad_argument, "task '" + task.spec.name + "' has no question");
  }
  return tasks.empty() ? Result<void>(fail(ErrorCode::bad_argument, "no task")) : Result<void>();
}

Result<UntilKnownOutcome> ask_until_known(std::span<const Contestant> contestants, const UntilKnownOptions& options) {
  const std::span<const PreparedTask> tasks =
      contestants.empty() ? std::span<const PreparedTask>() : contestants[0].tasks;
  if (auto ok = check_until_known(contestants.size(), tasks, options); !ok) return forward(ok);
  if (auto ok = check_same_questions(contestants); !ok) return forward(ok);
  return Run(contestants, options).ask();
}

}  // namespace moe::inline MOE_ABI::eval
