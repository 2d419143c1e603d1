// The page of --format=html: viewer.html with the stages of one compile in it.
#ifndef TOOLS_COMPILER_HTML_H
#define TOOLS_COMPILER_HTML_H

#include "graph/base/luahost.h"
#include "graph/graph.h"

// Adds the module after a pass (or "script") to the page's stages.
void html_add_stage(Text *stages, const char *pass, const char *why, const Module *module);
// The whole page. Scripts that cannot be read any more are left out.
void html_print(Text *page, const char *stages, const char *title, const FileList *scripts);

#endif
