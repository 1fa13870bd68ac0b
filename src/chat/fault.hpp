#pragma once
// Why a template gave no text.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

enum class FaultKind {
  syntax,       ///< the template cannot be compiled (jinja2.TemplateSyntaxError and what CPython would not compile)
  refused,      ///< a jinja2.TemplateError while rendering: raise_exception, an undefined value used, the sandbox
  python,       ///< another Python exception while rendering (TypeError, ValueError, ...), which jinja2 lets through
  limit,        ///< the template used up what it may use
  unsupported,  ///< jinja2 knows it, this interpreter does not
};

struct Fault {
  FaultKind kind = FaultKind::syntax;
  std::string exception;  ///< Python's class name: "TemplateError", "UndefinedError", "TypeError"; "" for limits
  std::string message;    ///< as Python words it, for raise_exception the template's own text
  int line = 0;           ///< of the template, from 1; 0 when it is unknown
};

/// One line for a user: the template, the line, what was found.
Error as_error(const Fault& fault, const std::string& template_name);

}  // namespace moe::inline MOE_ABI::chat
