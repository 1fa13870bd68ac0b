#pragma once
// Errors of compiling or rendering a template.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

enum class FaultKind {
  syntax,       ///< the template cannot be compiled (jinja2.TemplateSyntaxError and what CPython would not compile)
  refused,      ///< a jinja2.TemplateError while rendering: raise_exception, an undefined value used, the sandbox
  python,       ///< another Python exception while rendering (TypeError, ValueError, ...), which jinja2 passes on
  limit,        ///< a resource limit was reached
  unsupported,  ///< known to jinja2, not implemented here
};

struct Fault {
  FaultKind kind = FaultKind::syntax;
  std::string exception;  ///< Python's class name: "TemplateError", "UndefinedError", "TypeError"; "" for limits
  std::string message;    ///< Python's message, for raise_exception the template's text
  int line = 0;           ///< of the template, from 1; 0 when it is unknown
};

/// One line for a user: the template, the line, what was found.
Error as_error(const Fault& fault, const std::string& template_name);

}  // namespace moe::inline MOE_ABI::chat
