/* SPDX-License-Identifier: Apache-2.0 */
/* Errors are tables {code=, name=, message=}, integers integers; Ctrl-C ends a wait. */
%module tachyon
%typemap(in, checkfn="lua_isnumber") int, unsigned, uint32_t, size_t, uint64_t {
    lua_Integer integer = luaL_checkinteger(L, $input);
    $1 = ($1_ltype)integer;
    if ((lua_Integer)$1 != integer) luaL_argerror(L, $input, "out of range");
}
%typemap(out) int, unsigned, uint32_t, int32_t, int64_t, size_t, uint64_t
    "lua_pushinteger(L, (lua_Integer)$1); SWIG_arg++;"
%typemap(arginit) Bus *self, RpcBus *self "waiting = L;"
#define TACHYON_TEXT_HAS_NUL $1 && memchr($1, 0, lua_rawlen(L, 2))
#define TACHYON_RAISE(bus) { push_error(L, bus); SWIG_fail; }
%{
#include "facade.h"
static _Thread_local lua_State *waiting;
/* SWIG would take any userdata for one of its own. */
#undef SWIG_isptrtype
#define SWIG_isptrtype(L, i) (lua_isnil(L, i) || is_object(L, i))
static int is_object(lua_State *L, int i) {
    return lua_isuserdata(L, i) && luaL_getmetafield(L, i, ".type") &&
           (lua_pop(L, 1), 1);
}
/* At Ctrl-C, lua sets a hook for everything in its main thread. */
static lua_State *hooked(lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *first = lua_tothread(L, -1);
    lua_pop(L, 1);
    return lua_gethookmask(first) == 15 && lua_gethookcount(first) == 1 ? first : NULL;
}
static int pending(void *context) { (void)context; return hooked(waiting) != NULL; }
static void push_error(lua_State *L, const Bus *bus) {
    if (bus->error == TACHYON_ERR_INTERRUPTED) lua_sethook(hooked(L), NULL, 0, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, "tachyon.error");
    lua_pushinteger(L, bus->error);
    lua_pushstring(L, tachyon_error_name((tachyon_error_t)bus->error));
    lua_pushstring(L, bus->text); lua_call(L, 3, 1);
}
%}
%include "tachyon.i"
%init %{
    host.pending = pending;
    luaL_dostring(L, "local shown = {__tostring = function(e) return e.message end}"
        "return function(c, n, m) return "
        "setmetatable({code=c, name=n, message=m}, shown) end");
    lua_setfield(L, LUA_REGISTRYINDEX, "tachyon.error");
%}
