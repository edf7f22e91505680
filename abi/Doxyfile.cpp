# The reference of the C++ header. What a call does, takes and ends with is said once, in the C header.
@INCLUDE               = abi/Doxyfile
PROJECT_BRIEF          = "C++ reference"
INPUT                  = include/imgtask.hpp
HTML_OUTPUT            = cpp
OPTIMIZE_OUTPUT_FOR_C  = NO
EXCLUDE_SYMBOLS        = imgtask::detail imgtask::detail::*
HIDE_FRIEND_COMPOUNDS  = YES
WARN_NO_PARAMDOC       = NO
WARN_IF_INCOMPLETE_DOC = NO
