# The header as Doxygen reads it. Its first comment is its manual, what stands in angle brackets is no HTML, and what the
# generator of the header cannot be told to document is documented here.
1s|^/\*|/** @file */ /** @mainpage The header and its manual|
s/<NAME>/\\<NAME\\>/
s|^typedef uint32_t \(imgtask_[a-z_]*\);|/** One of the values of enum \1; a library that is newer may give others. */ &|
s|^#define IMGTASK_VERSION_|/** The version that this header belongs to; compare imgtask_version(). */ &|
s|@copydoc name(status)|A value as the word that the C interface has for it.|
s|The outcome of a call, in numbers that never change their meaning\.|& <a href="../errors.html">Errors</a> has a section for each.|
