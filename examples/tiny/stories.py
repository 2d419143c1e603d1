"""Write little English stories from a seeded grammar: the training text of tiny.gguf.

A story is one draw of a small world (a hero, a friend, a grown-up, a toy, a place, an animal ...)
told by one of the plots below.  The world is drawn once per story, so names, pronouns, colours and
places agree from the first sentence to the last; only the wording is free.

Templates use two notations:

    [a|b|c]    one of the alternatives, chosen at random; they nest and may be empty
    {h.his}    a fact of the world, looked up after the choices have been made

Usage: python stories.py [--count N] [--seed S]      prints one story per line
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

GIRLS = """Lily Mia Anna Ella Emma Rose Lucy Sara Nora Ruby Zoe Ivy Molly Daisy Clara Bella Jane
           Amy Kate Sue Maya Lola Tess Nina""".split()
BOYS = """Tom Ben Sam Max Leo Tim Jack Finn Noah Oscar Hugo Adam Luke Theo Bob Jim Dan Peter Oliver
          Felix Henry Paul Nick Eli""".split()
ANIMALS = "rabbit bear fox duck mouse cat dog frog goat squirrel hedgehog pig".split()
TRAITS = "kind happy brave curious clever gentle cheerful quiet funny friendly".split()
COLORS = "red blue green yellow pink purple orange white brown black".split()
SIZES = "big small little tiny soft shiny new old".split()
TOYS = "ball kite doll car boat train drum robot truck teddy puppet".split()
FOODS = "cake pie bread soup cookies muffins pancakes".split()
FRUITS = "apples berries pears cherries plums carrots nuts".split()
TREASURES = "ring key coin bell button necklace watch".split()
FLOWERS = "rose tulip sunflower daisy poppy".split()
HOMES = [
    "a little house by the [sea|lake|river|woods]",
    "a [small|quiet|pretty] [village|town]",
    "a [cozy|tiny|warm|little] [house|home|cottage]",
    "a [green|quiet|big] [forest|valley]",
    "a house on [a|the] hill",
    "a house with a [red|blue|green] [roof|door]",
]
PLACES = [
    "in the park", "in the garden", "in the forest", "by the river", "at the beach", "on the hill",
    "in the field", "by the pond", "in the meadow", "in the yard",
]
SPOTS = [
    "under [a|the] bush", "behind [a|the] tree", "in the tall grass", "under [a|the] bench",
    "behind a big rock", "next to the fence", "in a pile of leaves", "under a basket",
]


@dataclass(frozen=True)
class Person:
    """Somebody in a story: a child or an animal."""

    name: str
    kind: str
    female: bool

    def __str__(self) -> str:
        return self.name

    @property
    def he(self) -> str:
        return "she" if self.female else "he"

    @property
    def him(self) -> str:
        return "her" if self.female else "him"

    @property
    def his(self) -> str:
        return "her" if self.female else "his"

    @property
    def He(self) -> str:  # noqa: N802 - capitalised like the word it stands for
        return self.he.capitalize()

    @property
    def His(self) -> str:  # noqa: N802
        return self.his.capitalize()


@dataclass(frozen=True)
class Thing:
    """An object with one adjective, such as a red ball."""

    adjective: str
    noun: str

    def __str__(self) -> str:
        return f"{self.adjective} {self.noun}"

    @property
    def a(self) -> str:
        return f"{'an' if self.adjective[0] in 'aeiou' else 'a'} {self}"


OPENINGS = [
    """Once upon a time, there was a [little|small|young|{trait}] {h.kind} named {h}.
       [{h.He} lived in {home}.|{h.He} lived with {h.his} {elder} in {home}.
       |{h.He} was very {trait2}.|{h.He} was {trait2} and {trait3}.
       |{h.He} loved {h.his} {elder} very much.]""",
    "Once upon a time, in {home}, there lived a [little|small|{trait}] {h.kind} named {h}.",
    "Once upon a time, a [little|{trait}] {h.kind} named {h} lived in {home}.",
    "Once there was a [little|{trait}] {h.kind} named {h}. [|{h.He} lived in {home}.]",
    "There was [|once ]a [little|small|{trait}] {h.kind} named {h}. [|{h.He} lived in {home}.]",
    "One day, {h} woke up early. {h.He} was a [little|{trait}] {h.kind} who lived in {home}.",
    """One [day|morning], a [little|{trait}] {h.kind} named {h} [woke up early
       |looked out of the window|wanted to have some fun|was feeling very happy].""",
    "In {home}, there lived a [little|{trait}] {h.kind} named {h}. [|{h.He} was very {trait2}.]",
    "{h} was a [little|small|{trait}] {h.kind} who lived in {home}. [|{h.He} was very {trait2}.]",
]
OPENING_WEIGHTS = [10, 3, 3, 1, 3, 1, 2, 2, 2]

PLOTS = {
    "lost toy": """
        {h} had {toy.a}. [{h.He} loved the {toy} very much.|It was {h.his} favorite toy.|{h.He}
        played with it every day.] {when}, {h} [took the {toy} to the {place}|went to the {place}
        with the {toy}]. [{h.He} ran and played all day.|{h.He} stopped to look at the clouds.|]
        But then the {toy.noun} was gone! "[Where is my {toy.noun}?|Oh no! I lost my {toy.noun}!]"
        [cried|said] {h}. [{h.He} looked {spot2}, but it was not there.|{h.He} felt very sad.
        |{h.He} began to cry.] {h.His} friend {f} came [to help|along]. "[Do not worry|Do not be
        sad], {h}," said {f}. "[We will find it together|I will help you look]." They looked [and
        looked|everywhere|all around the {place}]. [Then|At last], {f} found the {toy} {spot}.
        [{h} was so happy that {h.he} hugged {f}.|"Thank you, {f}!" said {h}.|"There it is!" said
        {f}. {h} jumped for joy.] {h} learned that [good friends help each other|a good friend is
        better than any toy|it is easier to look with a friend].""",
    "sharing": """
        {h} [had|got] {toy.a}[| from {h.his} {elder}]. {when}, {h} [was playing with the {toy}
        {in_place}|took the {toy} to the {place}]. A {f.kind} named {f} came [to play|and
        watched]. "[Can I play with your {toy.noun}?|May I try your {toy.noun}, please?]" asked
        {f}. "No, it is [mine|my {toy.noun}]!" said {h}. {f} [was sad and walked away|looked down
        and felt sad|sat down all alone]. [Soon, {h} felt lonely.|{h} did not like to see {f} so
        sad.|But it was not fun for {h} to play alone.] {h} went to {f} and said, "[I am sorry. Let
        us play together|I am sorry. You can play with my {toy.noun} too]." {f} [smiled|was very
        happy]. {h} and {f} played with the {toy} [all day|until the sun went down|all afternoon].
        {h} learned that [sharing is fun|sharing makes everyone happy|it is more fun to play with a
        friend].""",
    "hurt animal": """
        {when}, {h} went for a walk {in_place}. [{h.He} heard a [small|strange] sound.|{h.He} heard
        someone crying.] It was a little {pet} {spot}. "[Why are you sad?|What is wrong, little
        {pet}?]" asked {h}. "[I hurt my leg|My leg hurts]," said the {pet}. "[I cannot walk home|I
        want to go home]." {h} wanted to help. {h.He} [put the {pet} in a basket|picked up the
        {pet} very gently] and [took|carried] it home. {h.His} {elder} [gave the {pet} some warm
        milk|made a soft bed for the {pet}|put a bandage on its leg]. [After a few days,|The next
        day,|Soon,] the {pet} [could walk again|was well again|felt much better]. "Thank you, {h},"
        said the {pet}. "You are very kind." [{h} and the {pet} became good friends.|From that day
        on, the {pet} came to see {h} every day.] {h} learned that [it feels good to help others
        |being kind makes new friends].""",
    "stuck kitten": """
        {when}, {h} and {h.his} friend {f} were playing {in_place}. They heard a [tiny|sad|soft]
        meow. A {fur} kitten was up in a tall tree. "[Oh no! It cannot get down|Look! The kitten
        is stuck]," said {h}. {f} tried to climb the tree, but it was too [tall|high]. [Then {h}
        had an idea.|{h} thought and thought.] "[Let us ask my {elder}|My {elder} can help us],"
        {h.he} said. {h.His} {elder} came with a long ladder and [got the kitten down|carried the
        kitten down]. The {fur} kitten [was safe|purred and purred|licked {h} on the nose]. "[Good
        work|Well done], {h} and {f}," said the {elder}. [{h} and {f} gave the kitten some milk.
        |The kitten went to sleep in {f}'s arms.] They learned that it is [good|smart] to ask for
        help.""",
    "rain": """
        {when}, {h} wanted to play {in_place} with {h.his} {toy}. But it began to rain. "[I do not
        like rain|Oh no, now I cannot play]," said {h}. [{h.He} sat by the window and felt sad.
        |{h.He} was sad and looked out of the window.] {h.His} {elder} [smiled and said|came and
        said], "[Rain can be fun. Put on your {color} boots|Let us put on your {color} boots and go
        out]." {h} put on the {color} boots and went outside. [{h.He} saw a big puddle.|There were
        puddles everywhere.] Splash! {h} jumped [in the puddle|up and down] and laughed. [{h.His}
        friend {f} came to jump too.|Soon, {f} came and they jumped together.|] Then the rain
        stopped and a [big|beautiful] rainbow came out. "[Look at the rainbow|The sky is so
        pretty]!" said {h}. {h} learned that [a rainy day can be a good day|rain can be fun
        too].""",
    "baking": """
        {when}, {h} wanted to [make|bake] {a_food} for {h.his} {elder}. It was the {elder}'s
        birthday. [{h.His} friend {f} came to help.|{h.He} asked {h.his} friend {f} to help.]
        {h} got the flour and {f} got the {ingredient}. [They mixed and mixed.|They mixed it all
        in a big {color} bowl.] But {f} dropped the {ingredient} on the floor. "[Oh no! I am so
        sorry|I am sorry, {h}]," said {f}. "[It is okay|Do not worry]," said {h}. "We can [clean
        it up and try again|get some more]." They cleaned the floor and got more {ingredient}.
        Soon, the {food} [smelled so good|came out of the oven|looked very good]. {h} gave the
        {food} to {h.his} {elder}. "[This is the best birthday|What a nice surprise]!" said the
        {elder}. [They all ate the {food} together.|{h} and {f} were very proud.] {h} learned
        that [anyone can make a mistake|it is good to try again].""",
    "tower": """
        {when}, {h} [wanted to build|began to build] a tall {color} tower. [{h.He} put one block on
        top of another.|{h.He} worked all morning.] The tower grew taller and taller. Then {f} [ran
        by|came running in] and [bumped into the tower|hit the tower]. Crash! The {color} tower
        fell down. {h} was [angry|very sad]. "[You broke my tower!|Look what you did!]" said {h}.
        "[I am sorry, {h}. I did not see it|It was an accident. I am sorry]," said {f}. "[Can I
        help you build it again?|I will help you make a new one.]" {h} thought about it and
        [smiled.|said, "Yes, please."] {h} and {f} worked together. The new tower was even [bigger
        |taller] than the first one. "[We did it|Look how tall it is]!" said {f}. {h} learned that
        [working together is best|it is good to forgive a friend].""",
    "sandcastle": """
        {when}, {h} went to the beach with {h.his} {elder}. {h.He} [had|took] a big {color} bucket.
        {h} wanted to [build|make] a big sandcastle. [{h.He} filled the {color} bucket with sand.
        |{h.He} dug and dug in the sand.] But a big wave came and washed the sandcastle away. "[My
        castle is gone|Oh no, my castle]!" cried {h}. {h.His} {elder} [hugged {h.him}|sat down
        next to {h.him}] and said, "[Let us build a new one, far from the water|We can try again,
        but not so close to the water]." {h} and {h.his} {elder} made a new castle. [They put
        shells on top.|They put a little flag on top.] This time, the waves did not reach it. "[It
        is the best castle ever|I love our castle]!" said {h}. {h} learned to [never give up|try
        again when things go wrong].""",
    "found treasure": """
        {when}, {h} was walking {in_place}. {h.He} saw something shiny {spot}. It was {treasure.a}.
        "[Wow, it is so pretty|Look what I found]!" said {h}. [{h} wanted to keep the
        {treasure.noun}.|{h} put the {treasure.noun} in {h.his} pocket.] Then {h.he} saw {f}[|, a
        {f.kind} who lived nearby]. {f} was [crying|looking for something]. "[What is wrong|Why are
        you sad], {f}?" asked {h}. "I lost my {treasure}," said {f}. [{h} thought for a moment.|{h}
        knew what to do.] {h.He} gave the {treasure.noun} to {f} and said, "[Here it is|I found it
        for you]." {f} was so happy [that {f.he} hugged {h}|and began to smile]. "[Thank you, {h}
        |You are so kind, {h}]!" said {f}. [They became good friends.|] {h} learned that [it is
        good to be honest|doing the right thing feels good].""",
    "dark": """
        {h} was [afraid|scared] of the dark. {one} night, {h} was in bed and heard a [strange
        |funny|scary] sound. "[What is that|Who is there]?" {h.he} [said|asked] in a small voice.
        [{h.He} hid under the blanket.|{h.He} held {h.his} {toy} very tight.] Then {h} called for
        {h.his} {elder}. {h.His} {elder} came with a [small|little|bright] lamp. "[Let us look
        together|Do not be afraid. Let us see what it is]," said the {elder}. They looked [behind
        the door|under the bed|out of the window]. It was only {noise}! {h} [laughed and laughed
        |began to laugh]. "[It was not a monster|That is not scary at all]," {h.he} said. {h.His}
        {elder} [gave {h.him} a kiss|hugged {h.him}] and said good night. [Soon, {h} was fast
        asleep.|{h} closed {h.his} eyes and went to sleep.] {h} was not afraid of the dark [anymore
        |any more after that night].""",
    "planting": """
        {when}, {h.his} {elder} gave {h} a tiny seed. "[Plant it and give it water every day|If you
        take care of it, it will grow]," said the {elder}. {h} planted the seed in the garden[|
        next to the fence| under the window]. [{h.He} gave it water every day.|Every morning,
        {h.he} gave it some water.] But nothing grew. "[Why does it not grow?" {h} asked {h.his}
        {elder}|My seed is not growing," {h} said sadly]. "[Be patient|You must wait]," said the
        {elder}. {h} waited and waited. Then, one [sunny|warm] morning, {h} saw a little green
        leaf. [Soon|After many days], it was {flower.a}. "[Look, my {flower.noun} is here|It is so
        beautiful]!" said {h}. {h} gave the {flower} to {h.his} {elder}. {h} learned that [good
        things take time|it is good to be patient].""",
    "broken vase": """
        {when}, {h} was playing with {h.his} {toy} in the house. [{h.He} ran around the table.
        |{h.He} was playing too fast.] The {toy.noun} hit the {color} {dish}. Crash! The {dish}
        fell and broke. {h} was [afraid|scared]. "[What will my {elder} say|What should I do]?"
        {h.he} [said|thought]. [{h} wanted to hide.|{h} wanted to run away.] But {h.he} went to
        {h.his} {elder} and [told the truth.|said, "I broke the {color} {dish}. I am sorry."]
        {h.His} {elder} was [not angry|a little sad, but not angry]. "[Thank you for telling me the
        truth|I am glad that you told me], {h}," said the {elder}. [They cleaned it up together.
        |Together, they put the {dish} back together with glue.] {h} learned that it is [always
        good|best|important] to tell the truth.""",
    "bike": """
        {when}, {h} got a new {color} bike. {h.He} [wanted to ride it right away|was very excited].
        {h} got on the {color} bike, but {h.he} fell down. "[Ouch! This is too hard|I cannot do
        it]," said {h}. {h.His} {elder} [helped {h.him} up|came to help]. "[Try again. You can do
        it|Everyone falls at first]," said the {elder}. {h} tried again and again. [{h.He} fell
        many times, but {h.he} did not give up.|Each time, {h.he} went a little farther.] [At last
        |The next day], {h} rode the bike [all the way to the {place}|up and down the hill]. "[Look
        at me|I can do it]!" {h.he} [said|shouted]. {f} saw {h} and clapped. [{h} was very proud.
        |{h.His} {elder} was so proud of {h.him}.] {h} learned that [you must keep trying|you can
        do hard things if you try].""",
    "new friend": """
        {h} [had no one to play with|felt lonely]. {when}, a {f.kind} named {f} moved into the
        house next door. {h} wanted to say hello, but {h.he} was too shy. {h} asked {h.his}
        {elder}, "[What should I do|How can I make a friend]?" "[Bring {f.him} something nice|Take
        {f.him} some {fruit}]," said the {elder}. So {h} took a basket of {fruit} to {f}. "Hello, I
        am {h}," {h.he} said. "[These {fruit} are for you.|Would you like some {fruit}?]" {f}
        [smiled|was very happy] and said, "Thank you! [I love {fruit}!|Do you want to play?]"
        [They ate the {fruit} together.|They sat down and ate the {fruit}.] Then they played
        {in_place} [all day|until it was dark]. {h} was not lonely anymore. {h} learned that [a
        small gift can make a big friend|it is good to be brave and say hello].""",
    "stuck kite": """
        {when}, {h} and {f} went to the {place} to fly a new {color} kite. The wind was [strong
        |blowing hard]. The {color} kite went up and up. Then the kite got stuck in a tall tree.
        "[Oh no, our kite|Now we cannot get it]!" said {f}. {h} jumped, but {h.he} could not reach
        it. [A big {climber} came by.|Then they saw a big {climber}.] "[Can you help us, please
        |Please, can you get our kite]?" asked {h}. "[Yes, I can|Of course]," said the {climber}.
        The {climber} climbed up the tree and got the kite. "[Thank you|You are so kind]!" said {h}
        and {f}. [They let the {climber} fly the kite too.|They gave the {climber} some {fruit}.]
        They all [had fun together|were happy]. {h} and {f} learned that it is good to [ask nicely
        |say please and thank you].""",
    "snow": """
        {one} cold [day|morning], {h} looked outside and saw snow. [Everything was white.|The snow
        was everywhere.] "[Let us make a snowman|It is snowing]!" said {h}. {h.He} put on {h.his}
        {color} coat and ran to {h.his} friend {f}. {h} and {f} [made|rolled] a big ball of snow.
        [Then they made a small one for the head.|They gave the snowman a carrot for a nose.] But
        the snowman [had no hat|looked cold]. "[He needs something warm,|What can we give him?]"
        said {f}. {h} [ran home and got|found] {hat.a}. {h.He} put the {hat} on the snowman. "[Now
        he is not cold|Now he looks great]!" said {h}. [{f} laughed and danced around the snowman.
        |They danced around the snowman.] Then they went home and {h.his} {elder} gave them hot
        [chocolate|soup|milk]. It was [the best day ever|a very good day].""",
    "sick friend": """
        {when}, {h} went to see {h.his} friend {f}. But {f} was sick in bed. "[I cannot play today
        |I do not feel well]," said {f}. {h} [wanted to help|felt sorry for {f}]. [{h.He} went home
        and asked {h.his} {elder}, "What can we do for {f}?"|{h.He} ran home and told {h.his}
        {elder}.] "[Let us make some soup|We can make warm soup]," said the {elder}. {h} and
        {h.his} {elder} made a [big|warm] pot of soup. {h} took the soup and {toy.a} to {f}. {f}
        ate the soup and [smiled|felt better]. "[The soup is so good|You are the best friend],
        {h}!" said {f}. [Then they played with the {toy} on the bed.|{h} gave {f} the {toy} to play
        with.] [The next day|After two days], {f} was well again. {h} learned that [friends take
        care of each other|kind words and warm soup can help].""",
    "lost child": """
        {when}, {h} went into the forest to look for {fruit}. {h.He} walked [and walked|very far].
        Soon, {h} did not know the way home. "[I am lost!|Where is my house?]" {h.he} said [and
        began to cry|in a small voice]. A wise old {pet2} [heard {h.him}|saw {h.him}]. "[Why are
        you crying?|What is the matter?]" asked the {pet2}. "I cannot find my [home|way home],"
        said {h}. "[I know the way. Come with me|Follow me. I will help you]," said the {pet2}.
        They walked [along the river|over the hill|past the tall trees] until {h} saw {h.his}
        house. {h.His} {elder} ran out and hugged {h.him}. {h} gave some {fruit} to the {pet2} to
        say thank you. From that day on, {h} [never went too far from home|always told {h.his}
        {elder} where {h.he} went].""",
    "messy room": """
        {h} had many toys, but {h.his} room was a mess. "[Please clean your room|You must clean
        up], {h}," said {h.his} {elder}. "[I do not want to|I will do it later]," said {h}. {when},
        {h} wanted to play with {h.his} {toy}. {h.He} looked and looked, but {h.he} could not find
        it. [There were too many toys on the floor.|It was too messy.] [{h} was sad.|{h} sat down
        and cried.] {f} came and said, "[Let us clean up together|I can help you clean]." {h} and
        {f} put all the [books|blocks] on the shelf and all the toys in the {color} box. Under the
        bed, {f} found the {toy}! "[My {toy.noun}|There it is]!" said {h}. {h.His} {elder} was
        [happy|proud] to see the clean room. {h} learned that [it is good to keep things clean|it
        is good to put toys away].""",
}

CHOICE = re.compile(r"\[([^\[\]]*)\]")
CLOSINGS = ["", "", "", "The end.", "They were all very happy.", "They lived happily ever after."]


def expand(rng: random.Random, template: str) -> str:
    """Resolve every [a|b|c] of a template, innermost first."""
    template = re.sub(r"\s+\|", "|", template)  # white space before a bar is only layout
    while CHOICE.search(template):
        template = CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    return template


def invent_name(rng: random.Random) -> str:
    """Make up a name, so that a reader learns to follow names it has never met."""
    syllables = [rng.choice("bdfghjklmnprstvz") + rng.choice("aeiou") for _ in range(2)]
    return ("".join(syllables) + rng.choice(["", "", "l", "n", "r", "s", "x", "ra", "lo"])).title()


def draw_world(rng: random.Random) -> dict[str, object]:
    """Draw the facts of one story; no two of its characters, colours or spots coincide."""
    names = {True: rng.sample(GIRLS, 2), False: rng.sample(BOYS, 2)}

    def person() -> Person:
        female = rng.random() < 0.5
        child = "girl" if female else "boy"
        kind = rng.choice(ANIMALS) if rng.random() < 0.25 else child
        name = invent_name(rng) if rng.random() < 0.15 else names[female].pop()
        return Person(name, kind, female)

    hero, friend = person(), person()
    elder = rng.choice(["mom", "dad", "grandma", "grandpa"])
    pet, pet2 = rng.sample([animal for animal in ANIMALS if animal != hero.kind], 2)
    color, toy_color, other_color = rng.sample(COLORS, 3)
    trait, trait2, trait3 = rng.sample(TRAITS, 3)
    spot, spot2 = rng.sample(SPOTS, 2)
    food, place = rng.choice(FOODS), rng.choice(PLACES)
    return {
        "h": hero, "f": friend, "elder": elder, "pet": pet, "pet2": pet2, "color": color,
        "fur": rng.choice(["white", "black", "gray", "brown"]),
        "climber": rng.choice(["bear", "monkey", "squirrel", "raccoon"]),
        "toy": Thing(rng.choice([toy_color, toy_color, rng.choice(SIZES)]), rng.choice(TOYS)),
        "treasure": Thing(rng.choice([other_color, "shiny", "little"]), rng.choice(TREASURES)),
        "flower": Thing(rng.choice([other_color, "big", "tall"]), rng.choice(FLOWERS)),
        "hat": Thing(other_color, rng.choice(["hat", "scarf"])),
        "a_food": f"a {food}" if food in ("cake", "pie") else f"some {food}", "food": food,
        "ingredient": rng.choice(["eggs", "milk", "sugar", "butter"]), "fruit": rng.choice(FRUITS),
        "dish": rng.choice(["vase", "cup", "plate", "pot", "bowl"]),
        "noise": rng.choice(["the wind", "the cat", "a little mouse", "an owl", "a branch"]),
        "trait": trait, "trait2": trait2, "trait3": trait3,
        "home": expand(rng, rng.choice(HOMES)), "place": place.split()[-1], "in_place": place,
        "spot": expand(rng, spot), "spot2": expand(rng, spot2),
    }


def story(rng: random.Random) -> str:
    """Tell one story, as one line of text."""
    world = draw_world(rng)
    opening = expand(rng, rng.choices(OPENINGS, OPENING_WEIGHTS)[0])
    fresh = not opening.startswith("One ")
    whens = "One [day|day|morning|sunny day|afternoon]" if fresh else "That [day|morning]"
    world["when"] = expand(rng, whens)
    world["one"] = "One" if fresh else "That"
    parts = [opening, expand(rng, PLOTS[rng.choice(list(PLOTS))]), rng.choice(CLOSINGS)]
    return " ".join(" ".join(parts).format(**world).split())


def stories(count: int, seed: int) -> Iterator[str]:
    """Yield `count` stories, always the same ones for a given seed."""
    rng = random.Random(seed)
    for _ in range(count):
        yield story(rng)


def main() -> None:
    """Print stories, one per line."""
    parser = argparse.ArgumentParser(description="Print seeded little stories, one per line.")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for text in stories(args.count, args.seed):
        print(text)


if __name__ == "__main__":
    main()
