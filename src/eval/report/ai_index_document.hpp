#pragma once
// The AI-Index view as a document: in words, then as tables and a picture.

#include "eval/report/ai_index.hpp"
#include "eval/report/document.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {

/// Follows the name of a row whose figure was not read at its source.
inline constexpr const char* kUnverified = " \xE2\x80\xA0";
std::string shown_model(const Row& row);

// In sentences (ai_index_words.cpp).
std::string headline(std::span<const ReportedGap> gaps);
std::string words(const ReportedGap& gap);
std::string words(const YearGap& gap);
std::string words(const Reference& reference);
/// "real: US ahead", "not distinguishable".
std::string verdict_of(const Judgement& judgement);
/// "2024, base rows".
std::string name_of(const YearGap& gap);

/// Everything that is shown; referenced data must outlive it.
struct View {
  std::string file;  ///< of the published table
  std::vector<Row> rows;
  std::optional<Reference> reference;
  std::vector<bool> front;
  std::vector<YearGap> gaps;
  std::array<ReportedGap, 2> reported;
  MeasuredModels measured;
};
View view_of(std::string file, std::vector<Row> rows, MeasuredModels measured);

ReportDocument index_document(const View& view, Painter& painter);
/// Alternative text of the picture.
std::string picture_words(const View& view);
/// Published and measured points (ai_index_picture.cpp); none where `painter` cannot draw.
std::optional<Picture> index_picture(const View& view, Painter& painter);

}  // namespace moe::inline MOE_ABI::eval::ai_index
