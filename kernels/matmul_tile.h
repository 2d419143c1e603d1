// What makes a body of matmul from a template: `columns` and `spacing` are constants in each
// instance, and TILE_BODY makes the function that picks one. Included after COLUMNS_MOST, the
// columns whose chains fit the registers. Lanes are weight rows, so no sum ever crosses lanes.
#include "kernels/matmul.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#define UNROLL_LONG _Pragma("clang loop unroll_count(8)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL_LONG _Pragma("GCC unroll 8") // of as many turns as a tile says
#endif

#define TILE_CASE(count, template, ...)                                                            \
    case count:                                                                                    \
        if (count <= COLUMNS_MOST)                                                                 \
            template(tile, first, count, MATMUL_TOKENS, __VA_ARGS__);                              \
        break;

// template(tile, first column, columns, spacing, …)
#define TILE_BODY(name, template, ...)                                                             \
    void name(const MatmulTile *tile)                                                              \
    {                                                                                              \
        if (tile->spacing == 1) {                                                                  \
            MatmulTile one = *tile;                                                                \
            for (int64_t i = 0; i <= tile->more; i++, matmul_next_panel(&one))                     \
                template(&one, 0, 1, 1, __VA_ARGS__);                                              \
            return;                                                                                \
        }                                                                                          \
        for (int first = 0; first < tile->columns; first += COLUMNS_MOST) {                        \
            int rest = tile->columns - first;                                                      \
            switch (rest < COLUMNS_MOST ? rest : COLUMNS_MOST) {                                   \
                TILE_CASE(1, template, __VA_ARGS__)                                                \
                TILE_CASE(2, template, __VA_ARGS__)                                                \
                TILE_CASE(3, template, __VA_ARGS__)                                                \
                TILE_CASE(4, template, __VA_ARGS__)                                                \
                TILE_CASE(5, template, __VA_ARGS__)                                                \
                TILE_CASE(6, template, __VA_ARGS__)                                                \
                TILE_CASE(7, template, __VA_ARGS__)                                                \
                TILE_CASE(8, template, __VA_ARGS__)                                                \
            }                                                                                      \
        }                                                                                          \
    }
