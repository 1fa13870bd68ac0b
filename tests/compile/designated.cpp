// Every public struct with one member named and the others left to their defaults. -Wextra warns of a member without one.
// designated.sh looks that no struct is missing here.

#include "moe/chat.hpp"
#include "moe/detail/attention.hpp"
#include "moe/eval/ai_index.hpp"
#include "moe/eval/chat_prompts.hpp"
#include "moe/eval/cost_model.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/run_report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"
#include "moe/eval/until_known.hpp"
#include "moe/moe.hpp"
#include "moe/rope.hpp"
#include "moe/serve.hpp"

namespace designated {

namespace eval = moe::eval;
namespace serve = moe::serve;

inline const moe::Attention attention{.q_stride = 1};
inline const moe::BatchItem batch_item{.sequence = 1};
inline const moe::Chat chat{.messages = {}};
inline const moe::ChatMessage chat_message{.role = "user"};
inline const moe::ChatOptions chat_options{.date = "2026-11-27"};
inline const moe::ChatTemplates chat_templates{.are_named = true};
inline const moe::Choice choice{.best = 1};
inline const moe::DraftOptions draft_options{.tokens = 4};
inline const moe::DraftReport draft_report{.drafted = 1};
inline const moe::EncodeOptions encode_options{.ends = moe::TextEnds::as_model};
inline const moe::GenerateOptions generate_options{.max_tokens = 1};
inline const moe::GenerateRequest moe_generate_request{.prompt = {}};
inline const moe::Generation moe_generation{.text = "a"};
inline const moe::JsonTokenizer json_tokenizer{.json = "{}"};
inline const moe::Piece piece{.text = "a"};
inline const moe::PositionLogProbabilities position{.best = {}};
inline const moe::Score moe_score{.tokens = 1};
inline const moe::ScoreRequest moe_score_request{.context = "a"};
inline const moe::TokenLogProbability token_log_probability{.token = 1};
inline const moe::Demand demand{.bytes = 1.0};
inline const moe::StageDemands stage_demands{.stage = {}};
inline const moe::Error error{.code = moe::ErrorCode::io};
inline const moe::FormatInfo format_info{.format = moe::Format::f16};
inline const moe::FormatUse format_use{.bytes = 1};
inline const moe::GgufVocabulary gguf_vocabulary{.model = "gpt2"};
inline const moe::ExpertOptions expert_options{.expert_mass = 0.5};
inline const moe::ExpertTraffic expert_traffic{.hits = 1};
inline const moe::MemoryPlan memory_plan{.limit = 1};
inline const moe::MemoryRequest memory_request{.limit = 1};
inline const moe::PackedSizes packed_sizes{.always = 1};
inline const eval::CostOptions cost_options{.max_length = 1};
inline const eval::RunCost run_cost{.requests = 1};
inline const moe::ExpertLoad expert_load{.expert_count = 1};
inline const moe::LoadOptions load_options{.content_hash = moe::sha256};
inline const moe::LoadStatistics load_statistics{.entropy = 1.0};
inline const moe::LogitBias logit_bias{.token = 1};
inline const moe::MemoryEstimate memory_estimate{.cache_bytes = 1};
inline const moe::ModelConfig model_config{.layer_count = 1};
inline const moe::IndexerConfig indexer_config{.top_k = 1};
inline const moe::RecurrentConfig recurrent_config{.heads = 1};
inline const moe::ModelInfo model_info{.weight_bytes = 1};
inline const moe::ModelOutline model_outline{.layer_count = 1};
inline const moe::PackReport pack_report{.file_bytes = 1};
inline const moe::ParallelFor parallel_for{.worker_count = 1};
inline const moe::ParameterCount parameter_count{.total = 1};
inline const moe::Profile profile{.waiting_ns = 1};
inline const moe::Progress progress{.total = 1};
inline const moe::QuantizeOptions quantize_options{.type = moe::Format::q4_k};
inline const moe::QuantizeReport quantize_report{.file_bytes_before = 1};
inline const moe::QuantizedFormat quantized_format{.bytes_after = 1};
inline const moe::RenderedChat rendered_chat{.text = "a"};
inline const moe::RopeConfig rope_config{.theta = 1e6};
inline const moe::RouterConfig router_config{.expert_count = 8};
inline const moe::SamplingConfig sampling_config{.temperature = 0.7};
inline const moe::SessionOptions session_options{.kv = moe::KvType::f32};
inline const moe::LayerRange layer_range{.end = 1};
inline const moe::LeastMemory least_memory{.resident = 1};
inline const moe::StageOptions stage_options{.wait_seconds = 1.0};
inline const moe::StepOutput step_output{.row_count = 1};
inline const moe::StopIds stop_ids{.where = "here"};
inline const moe::TokenRouting token_routing{.experts = {1}};
inline const moe::TokenizerOptions tokenizer_options{.row_count = 1};
inline const moe::WeightShape weight_shape{.rows = 1};
inline const moe::Work work{.router = 1};
inline const moe::WorkPart work_part{.name = "router"};
inline const serve::SchedulerOptions scheduler_options{.batch_tokens = 64};
inline const serve::ServerOptions server_options{.port = 0};
inline const eval::Accuracy accuracy{.value = 1.0};
inline const eval::Aggregate aggregate{.is_group = true};
inline const eval::AiIndexOptions ai_index_options{.gnuplot = ""};
inline const eval::AiIndexTexts ai_index_texts{.text = "a"};
inline const eval::Breakdown breakdown{.field = "subject"};
inline const eval::ChatSetting chat_setting{.reported_name = "tool_use"};
inline const eval::ChatUse chat_use{.multiturn = true};
inline const eval::Comparison comparison{.a = 1};
inline const eval::Contestant contestant{.name = "a"};
inline const eval::Conversation conversation{.unfinished = true};
inline const eval::Document document{.target = "B"};
inline const eval::DocumentOutcome document_outcome{.tied = true};
inline const eval::EvaluateOptions evaluate_options{.bootstrap_count = 1};
inline const eval::ExactMatchSpec exact_match{.ignore_case = true};
inline const eval::Family family{.name = "US"};
inline const eval::FamilyComparison family_comparison{.a = 1};
inline const eval::FamilyGap family_gap{.gap = 1.0};
inline const eval::FamilyOptions family_options{.replicates = 2};
inline const eval::FewshotSpec fewshot{.from_questions = true};
inline const eval::FilterSpec filter_spec{.name = "strict"};
inline const eval::FilterStep filter_step{.k = 2};
inline const eval::GenerateRequest generate_request{.context = "a"};
inline const eval::Generation generation{.finished = true};
inline const eval::GenerationSpec generation_spec{.max_tokens = 1};
inline const eval::GroupSpec group_spec{.name = "all"};
inline const eval::Hooks hooks{.cancelled = {}};
inline const eval::ComputeMultiplier compute_multiplier{.low = 1.0};
inline const eval::MultiplierOptions multiplier_options{.replicates = 1};
inline const eval::MetricValue metric_value{.value = 1.0};
inline const eval::ModelRun model_run{.name = "a"};
inline const eval::ModelUse model_use{.questions = 1};
inline const eval::PairedGap paired_gap{.gap = 1.0};
inline const eval::PairVerdict pair_verdict{.gap = 1.0};
inline const eval::PrepareOptions prepare_options{.limit = 1.0};
inline const eval::PreparedTask prepared_task{.num_fewshot = 1};
inline const eval::Question question{.id = "1"};
inline const eval::QuestionIndex question_index{.document = 1};
inline const eval::ReadHooks read_hooks{.cancelled = {}};
inline const eval::MachinePeaks machine_peaks{.threads = 1};
inline const eval::RunReport run_report{.isa = "avx2"};
inline const eval::RunReportOptions run_report_options{.gnuplot = ""};
inline const eval::RunReportTexts run_report_texts{.verdict = "equal"};
inline const eval::RunText run_text{.name = "run.json"};
inline const eval::ExpertUse expert_use{.tokens = 1};
inline const eval::Score score{.is_greedy = true};
inline const eval::ScoreRequest score_request{.continuation = "a"};
inline const eval::SessionModelOptions session_model_options{.max_length = 1};
inline const eval::StoreSetting store_setting{.top_k = 1};
inline const eval::StoredAnswer stored_answer{.correct = 1.0};
inline const eval::StoredEvaluation stored_evaluation{.id = 1};
inline const eval::MergedCounts merged_counts{.added = 1};
inline const eval::Shard shard{.index = 2, .count = 3};
inline const eval::StoredRun stored_run{.model = "a"};
inline const eval::Subtask subtask{.name = "a"};
inline const eval::TableOptions table_options{.columns = 80};
inline const eval::TaskOutcome task_outcome{.tied = 1};
inline const eval::TaskSpec task_spec{.prompt = "{question}"};
inline const eval::TextRequest text_request{.question = "1"};
inline const eval::UntilKnown until_known{.alpha = 0.05};
inline const eval::UntilKnownOptions until_known_options{.alpha = 0.05};
inline const eval::UntilKnownOutcome until_known_outcome{.asked = {}};

}  // namespace designated
