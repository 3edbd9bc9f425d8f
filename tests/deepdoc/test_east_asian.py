"""Short texts in the encodings of East Asia, and texts that only look like them."""

import pytest

from deepdoc.east_asian import east_asian_encoding
from tests.files import GREAT_WALL

TEXTS = {
    "gb18030": (*GREAT_WALL, "名称,年份\n长城,一三六八\n", "姓名,电话\n张三,123\n", "序号;产品名称;单价", "第一章 总则", "你好"),
    "big5": ("長城是中國古代的軍事防禦工程。", "姓名,電話\n王小明,123\n", "產品名稱;數量;單價", "第一條 本法之目的"),
    "cp949": ("이름,전화번호\n홍길동,123\n", "만리장성은 중국의 역사적인 군사 시설이다.", "제품명;수량;가격", "안녕하세요"),
    "cp932": ("名前,電話番号\n山田さん,123\n", "万里の長城は中国の軍事施設です。", "こんにちは", "ありがとうございました"),
    "euc_jp": ("万里の長城は中国の軍事施設です。", "お名前とご住所を入力してください"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts]
)
def test_the_text_comes_out_as_it_went_in(encoding: str, text: str) -> None:
    found = east_asian_encoding(text.encode(encoding))
    assert found is not None
    assert text.encode(encoding).decode(found) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Die Fähre fährt über das Meer. Größe und Höhe."),
        ("cp1252", "naïve café, déjà vu, garçon, œuvre"),
        ("cp1252", "El niño comió una piña en la montaña."),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
        ("cp1251", "Съешь ещё этих мягких французских булок, да выпей чаю"),
        ("koi8_r", "Широкая электрификация южных губерний"),
        ("cp1253", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία"),
        ("cp1256", "نص حكيم له سر قاطع وذو شأن عظيم"),
        ("ascii", "plain"),
    ],
)
def test_other_scripts_are_left_to_others(encoding: str, text: str) -> None:
    assert east_asian_encoding(text.encode(encoding)) is None
